"""Writes tests/data/damaged: small well-formed files that the mutation tests damage, and two bombs."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).parent / "damaged"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def interlaced_png(pixels: np.ndarray) -> bytes:
    """Adam7, 8-bit grey: Pillow writes none."""
    height, width = pixels.shape
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b""
    for x, y, dx, dy in passes:
        for row in pixels[y::dy, x::dx]:
            rows += b"\0" + row.tobytes() if row.size else b""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(19), 3 * np.arange(23)).astype(np.uint8)
    colour = np.stack([smooth, smooth[::-1], 255 - smooth], -1) + rng.integers(0, 9, (19, 23, 3), dtype=np.uint8)
    image = Image.fromarray(colour)
    image.save(FOLDER / "colour.png")
    image.convert("P", palette=Image.Palette.ADAPTIVE, colors=16).save(FOLDER / "palette.png", bits=4)
    Image.fromarray(smooth.astype(np.uint16) * 257).save(FOLDER / "grey16.png")
    (FOLDER / "interlaced.png").write_bytes(interlaced_png(smooth))
    image.save(FOLDER / "baseline.jpg", quality=90, subsampling=2)
    image.save(FOLDER / "progressive.jpg", progressive=True)
    image.convert("L").save(FOLDER / "grey.jpg")
    numbers = rng.standard_normal((3, 4, 5)).astype(np.float32)
    np.save(FOLDER / "array.npy", numbers)
    np.save(FOLDER / "column_major.npy", np.asfortranarray(numbers.astype(">f8")))
    np.savez(FOLDER / "stored.npz", x=numbers, labels=np.arange(3))
    np.savez_compressed(FOLDER / "deflated.npz", x=numbers, labels=np.arange(3))
    idx = b"\0\0\x08\x03" + struct.pack(">III", 4, 5, 6) + bytes(range(120))
    (FOLDER / "images.idx").write_bytes(idx)
    (FOLDER / "images.idx.gz").write_bytes(gzip.compress(idx, mtime=0))
    (FOLDER / "labels.txt").write_text("# name label\na photo.png 3\nb.jpg, 0\n\nc.png\t12\n")
    np.savez_compressed(FOLDER / "bomb.npz", x=np.zeros((64, 1024, 1024), np.uint8))
    header = struct.pack(">IIBBBBB", 11000, 11000, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    (FOLDER / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b""))


if __name__ == "__main__":
    main()

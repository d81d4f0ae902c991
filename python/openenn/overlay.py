"""How our modules find their places in executorch.backends.samsung: each package there looks in ours first."""

import importlib.util
from pathlib import Path

_OURS = Path(__file__).parent / "samsung"


def search_path(package: str) -> list[str]:
    """Folders of executorch.backends.samsung[.<package>]: ours, then upstream's."""
    backends = importlib.util.find_spec("executorch.backends")
    roots = (backends.submodule_search_locations or []) if backends else []
    inner = package.split(".")[3:]
    upstream = [Path(root, "samsung", *inner) for root in roots]
    return [str(folder) for folder in (_OURS.joinpath(*inner), *upstream) if folder.is_dir()]

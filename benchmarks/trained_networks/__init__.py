"""Networks with trained weights from packages, each with data of its task.

NETWORKS["mobilenet_v2"]() gives the module, what calibrates it and its metric; a package that is missing raises
MissingPackageError with the command that installs it. quick=True takes fewer samples.
"""

from collections.abc import Callable

from trained_networks import classifiers, detector, faces, music, pitch, sentences, text_networks, voice_activity
from trained_networks.network import MissingPackageError as MissingPackageError
from trained_networks.network import TrainedNetwork as TrainedNetwork

NETWORKS: dict[str, Callable[..., TrainedNetwork]] = {
    "mobilenet_v2": classifiers.mobilenet_v2,
    "efficientnet_lite0": classifiers.efficientnet_lite0,
    "yolov8n": detector.yolov8n,
    "text_segmentation": text_networks.text_segmentation,
    "text_recognition": text_networks.text_recognition,
    "text_direction": text_networks.text_direction,
    "page_orientation": text_networks.page_orientation,
    "mtcnn_onet": faces.mtcnn_onet,
    "voice_activity": voice_activity.voice_activity,
    "minilm": sentences.minilm,
    "crepe_tiny": pitch.pitch,
    "basic_pitch": music.basic_pitch,
}

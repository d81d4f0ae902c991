"""The networks that are lowered and measured: torchvision's, and others written from their papers."""

from networks import attention, classic, convolutional
from networks.network import Network as Network
from networks.network import seeded as seeded

NETWORKS: dict[str, Network] = {**classic.NETWORKS, **convolutional.NETWORKS, **attention.NETWORKS}

"""The modules of openenn under their ExecuTorch names; all that openenn does not have stays upstream's."""

from openenn.overlay import search_path

__path__ = search_path(__name__)

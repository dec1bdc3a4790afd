"""Every error this library raises on purpose. Each message says what to do next.

DinovError
├── InvalidImage          an image file that cannot be used
├── InvalidVideo          a video file or a folder of frames that cannot be used
├── InvalidPrompt         a prompt that marks nothing usable
├── InvalidReferences     a REF.json or COCO file that cannot be used
├── InvalidBank           a prompt bank file that cannot be used
├── InvalidLedger         what an unfinished batch left behind cannot be used
├── LedgerInUse           another program is at work on the same batch
├── ClusterError          a cluster of machines cannot be used, or gave up
├── InvalidOptions        options that do not fit together
├── InvalidDataset        training or evaluation data that cannot be used
├── DeviceUnavailable     the requested device does not exist here
├── FingerprintMismatch   a stored value made with another checkpoint, size or option
└── CheckpointError
    ├── CheckpointMissing   no such file or name
    ├── CheckpointCorrupt   the file cannot be read
    ├── CheckpointMismatch  the file holds another architecture
    └── DownloadFailed      the network or the digest said no
"""


class DinovError(Exception):
    """Base of all errors raised on purpose by this library."""


class InvalidImage(DinovError):
    """An image cannot be read, or is not usable."""


class InvalidVideo(DinovError):
    """A video file or a folder of frames cannot be read."""


class InvalidPrompt(DinovError):
    """A prompt has the wrong form, lies outside its image or has no area."""


class InvalidReferences(DinovError):
    """A references file cannot be read or does not make sense."""


class InvalidBank(DinovError):
    """A prompt bank file cannot be read."""


class InvalidLedger(DinovError):
    """The record of an unfinished batch is damaged or cannot be used."""


class LedgerInUse(DinovError):
    """Another program is at work on the same batch."""


class ClusterError(DinovError):
    """A cluster of machines cannot be reached or used, or gave up."""


class InvalidOptions(DinovError):
    """Options of a command do not fit together."""


class InvalidDataset(DinovError):
    """Training or evaluation data cannot be used."""


class DeviceUnavailable(DinovError):
    """The requested device is not available on this machine."""


class FingerprintMismatch(DinovError):
    """A stored value belongs to another checkpoint, input size or choice of options."""


class CheckpointError(DinovError):
    """Base of the checkpoint errors."""


class CheckpointMissing(CheckpointError):
    """The checkpoint is not on this machine."""


class CheckpointCorrupt(CheckpointError):
    """The checkpoint file is damaged or is not a checkpoint."""


class CheckpointMismatch(CheckpointError):
    """The checkpoint does not fit the architecture."""


class DownloadFailed(CheckpointError):
    """A download did not complete or its digest is wrong."""

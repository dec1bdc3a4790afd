"""The network: one file per box of the paper's figure. Modules only, no files read or written."""

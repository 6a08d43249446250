"""The system-call table: a vault of cubes, and the verbs of one cube."""

from loci.system.conversation import Conversation
from loci.system.cube import Cube
from loci.system.parts import CallReader, Parts
from loci.system.vault import System

__all__ = ["CallReader", "Conversation", "Cube", "Parts", "System"]

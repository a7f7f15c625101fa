"""A bank of light people and poses: a few MB that need neither the body model nor open3d.

``python -m unipose_training.synthetic.bank`` bakes one.
"""

from unipose_training.synthetic.bank.store import load_bank, save_bank
from unipose_training.synthetic.bank.types import BankRecord, BodyBank, LightPerson, PoseClips

__all__ = ["BankRecord", "BodyBank", "LightPerson", "PoseClips", "load_bank", "save_bank"]

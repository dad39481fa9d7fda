"""Control, acquisition and analysis for an X-ray scintillation quantum-optics rig."""

__version__ = "0.1.0"

"""Parts of the rig that only a hand can set: asked for, confirmed, recorded as entered."""

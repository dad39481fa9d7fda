"""Raw tags on disk: what the rest of the program uses of the writer and the reader."""

from __future__ import annotations

from labctl.photons.tag_reader import Damage, TagFileInfo, count_tags, read_tags, tag_info, tag_segments
from labctl.photons.tag_writer import TagWriter

__all__ = ["Damage", "TagFileInfo", "TagWriter", "count_tags", "read_tags", "tag_info", "tag_segments"]

"""Colours: any pixels to 8-bit sRGB, by what the file says that they are.

| what | file | role |
| --- | --- | --- |
| `flatten` | flatten | any pixels to 8-bit sRGB: alpha on white, 16 bits scaled, profiles applied |
| `declared_colours` | declared | which colours an image says it has, and those of CICP and the like in sRGB |
| `grey_levels` | grey | greys of other depths, by stated rules |
"""

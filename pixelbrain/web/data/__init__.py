"""What the pages show, in memory: columns of all photos, who is who, searches, pictures.

| what | file | role |
| --- | --- | --- |
| `Area` | area | a part of a map, as an address says it |
| `Colours` | colours | by what the points of a map are coloured |
| `Photos`, `key_of` | columns | what has landed as columns, and what ids are called in addresses |
| `Desk`, `View` | desk | the OUT that is worked on: read once, again when its files change; the queue of questions |
| `Wanted`, `find` | find | a search as an address says it, and which photos that are |
| `Known` | known | people by size with their faces, over the photos in memory |
| `Maps` | maps | the maps that have landed, over the photos in memory |
| `Pictures` | pictures | small pictures from what extract landed, else of the originals, and large ones |
"""

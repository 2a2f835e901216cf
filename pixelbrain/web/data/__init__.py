"""What the pages show, in memory: columns of all photos, who is who, searches, pictures.

| what | file | role |
| --- | --- | --- |
| `Area` | area | a part of a map, as an address says it |
| `Beside` | beside | work beside the pages: how far it is, and how it went wrong |
| `colour_by` | colours | by what the points of a map are coloured |
| `Photos`, `key_of` | columns | what has landed as columns, and what ids are called in addresses |
| `Day` | dates | dates as people write them among other words |
| `Desk`, `View` | desk | the OUT that is worked on: read once, again when its files change; the queue of questions |
| `Facet` | facets | what answers and modules said that has few values, to be chosen from a list |
| `Wanted`, `Found` | find | a search as an address says it, which photos that are, and what else there is to choose |
| `Known` | known | people by size with their faces, over the photos in memory |
| `Maps` | maps | the maps that have landed, over the photos in memory |
| `Pictures` | pictures | small pictures from what extract landed, else of the originals, and large ones |
"""

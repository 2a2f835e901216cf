"""Which actors run where, and whether that fits.

| what | file | role |
| --- | --- | --- |
| `make_plan` | make | chooses the layout and makes the plan, from the nodes that there are |
| `Pool` | pools | what a plan is made of: pools of equal actors; the first that finds no room on the nodes is named |
| `Node` | nodes | the machines that work can go to: what Ray says of its nodes, or this machine |
| `fused_pools` | fused | the fused layout: equal actors that each do all of an image's work |
| `chunk_rows` | staged | the staged layout: a pool that decodes, one for each module, and one that lands |
"""

"""Which actors run where, and whether that fits.

| what   | role
| ------ | ----
| make   | Chooses the layout and makes the plan, from the nodes that there are
| pools  | What a plan is made of: pools of equal actors
| nodes  | The machines that work can go to: what Ray says of its nodes, or this machine
| fused  | The fused layout: equal actors that each do all of an image's work
| staged | The staged layout: a pool that decodes, one for each module, and one that lands
| fit    | Does a plan fit the nodes? The first actor that finds no room is named
"""

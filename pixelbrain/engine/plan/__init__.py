"""Which actors run where, and whether that fits.

| file   | role
| ------ | ----
| fit    | Does a plan fit the nodes? Each actor is put on a node in thought, and the first that finds no room is named
| fused  | The fused layout: equal actors that each do all of an image's work, one a GPU, or one for about four CPUs
| make   | Placement: which actors, how many, and what of the cluster each reserves, from the nodes that there are
| nodes  | The machines that work can go to: what Ray says of its nodes, or this machine where no Ray runs yet
| pools  | What a plan is made of: what each module needs of an actor, the pools of equal actors, and the plan of a run
| staged | The staged layout: a pool that decodes on CPUs, one for each module, on GPUs if there are any, and one that
"""

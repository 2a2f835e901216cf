"""The work on a block of images; no Ray needs to run for it.

| file        | role
| ----------- | ----
| chunks      | Chunks: images on their way through the staged layout, from the decoders to the modules to where they
| environment | The driver's keys for workers that Ray started in another environment: on other nodes, or before this
| fused       | The work on one block of images: read, decode, run the modules, land
| isolate     | Images that kill their process: each goes through a process of its own, until the one that does it is
| meter       | What a run tells about itself while it goes on: how much, how fast, what failed
| models      | The modules of one worker: each is loaded when it is first needed, and its columns come timed
| open        | Rows in the making: images read and decoded in threads, modules' columns, and the count of what came of
| run_notes   | OUT/work: what the driver and the workers of one run tell each other, on whatever machines they are
| staged      | The work on one block of images in three steps on different machines: decode, run one module, land
| worklist    | What is handed out to the workers: blocks of the images that are left to do, made while the source is
"""

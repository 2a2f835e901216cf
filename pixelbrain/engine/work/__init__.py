"""The work on a block of images; no Ray needs to run for it.

| what | file | role |
| --- | --- | --- |
| `Worklist` | worklist | an order, and blocks of what is left to do, made while the source is listed |
| `Opener` | opener | images read, decoded and preprocessed in threads, one batch ahead of the models |
| `add_faces` | pictures | small pictures of images and faces, made where the pixels are, and landed beside the rows |
| `LoadedModules` | loaded_modules | the modules of one worker, each loaded when it is first needed, and their columns |
| `ImageWorker` | fused | all the work on a block in one process: open, run the modules, land |
| `Decoder` | staged | the same in three steps on different machines: decode, run one module, land |
| `Chunk` | chunks | images on their way between these steps, as rows of a table |
| `Suspicion` | isolate | images that kill their process: each goes through a process of its own |
| `Tally` | tally | the count of what came of a block's images, which is all that workers report |
| `Listing` | run_notes | OUT/work: what the driver and the workers of one run tell each other, wherever they are |
| `Meter` | meter | what a run tells about itself while it goes on: how much, how fast, what failed |
| `DriverEnvironment` | environment | the driver's keys, for workers that Ray started in another environment |
"""

"""The work on a block of images; no Ray needs to run for it.

| what           | role
| -------------- | ----
| worklist       | What is handed out: blocks of the images that are left to do, made while the source is listed
| order          | What all workers of a run share: where rows go, and how images are opened
| opener         | Images read, decoded and preprocessed in threads, one batch ahead of the models
| loaded_modules | The modules of one worker, each loaded when it is first needed, and the columns that they make
| fused          | All the work on a block in one process: open, run the modules, land
| staged         | The same in three steps on different machines: decode, run one module, land
| chunks         | Images on their way between these steps, as rows of a table
| isolate        | Images that kill their process: each goes through a process of its own
| tally          | The count of what came of a block's images, which is all that workers report
| run_notes      | OUT/work: what the driver and the workers of one run tell each other, wherever they are
| meter          | What a run tells about itself while it goes on: how much, how fast, what failed
| environment    | The driver's keys, for workers that Ray started in another environment
"""

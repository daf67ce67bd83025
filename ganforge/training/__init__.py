"""Training: how a run is built, its engine, its state, and the tasks between steps.

`build` makes a `TrainingRun` from a pipeline file, `engine.loop` trains it, `state` saves and
resumes it, `tasks` log, draw, save and watch it, and `runtime` says where it executes.
"""

"""From a folder of images to a pipeline file: `ganforge new`.

`survey` looks at the data, `recipes` chooses the settings, `measure` trains a few steps,
`pipeline_file` writes the result, and `new` does all of it.
"""

from published import *  # noqa: F403  # the fixtures that publishing and inference share

"""Small videos, written without ganforge."""

from fractions import Fraction

import av
import numpy as np


def gray_levels(num):
    """Brightness of each frame of `make_video`."""
    return [30 + 180 * index / max(1, num - 1) for index in range(num)]


def make_video(
    path, num=6, rate=Fraction(25), size=(16, 24), *, times=None, audio=None, rotation=0, bright=()
):
    """Flat frames that grow brighter, each a keyframe.

    `times` are in milliseconds; `audio` is a codec; `bright` are rows, columns of a white part.
    """
    with av.open(str(path), "w") as container:
        options = {"crf": "4", "g": "1", "bf": "0"}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        audio = _add_audio(container, audio) if audio else None
        for number, level in enumerate(gray_levels(num)):
            pixels = np.full((*size, 3), round(level), dtype=np.uint8)
            if bright:
                pixels[: bright[0], : bright[1]] = 255
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = times[number] if times else number
            frame.time_base = Fraction(1, 1000) if times else 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio:
            _write_audio(container, audio, num / rate)
    return path


def _add_audio(container, codec):
    stream = container.add_stream(codec, rate=48000)
    stream.layout = "mono"
    return stream


def _write_audio(container, stream, seconds):
    rng = np.random.default_rng(0)
    for number in range(int(seconds * 48000) // 1024 + 1):
        values = rng.normal(0, 0.1, (1, 1024)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(values, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, number * 1024
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def damage(path, number):
    """Overwrite the data of one frame."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        start, size = packets[number].pos, packets[number].size
    data = bytearray(path.read_bytes())
    data[start : start + size] = bytes(size)
    path.write_bytes(data)


def read_video(path):
    """Frames [H, W, 3], their seconds, the frame rate, and the packets of the audio."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate
        frames = list(container.decode(stream))
        images = [_rgb(frame) for frame in frames]
        seconds = [frame.pts * frame.time_base for frame in frames]
    with av.open(str(path)) as container:
        stream = container.streams.best("audio")
        audio = [bytes(packet) for packet in container.demux(stream)] if stream else []
    return images, seconds, rate, [packet for packet in audio if packet]


def _rgb(frame):
    colors = {"src_colorspace": frame.colorspace, "src_color_range": frame.color_range}
    return frame.reformat(format="rgb24", **colors).to_ndarray()

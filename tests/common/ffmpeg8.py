"""FFmpeg 8 as a program: copies every track of INPUT to OUTPUT, by the Python package av.

There is no ffmpeg 8 to install, but av carries FFmpeg 8's libraries. With --realtime it publishes
like `ffmpeg -re -i INPUT -map 0 -c copy -f FORMAT OUTPUT`; with the format framehash and the
output pipe:1 it prints a line per packet. With --decode it also decodes what it copies, and says
at the end how many frames came of it: `#decoded 0: 60`. With --wait-for it is ready to begin in an
instant, at a moment that somebody else chooses.
"""

import argparse
import os
import sys
import time

import av
import av.logging


def options(words):
    return dict(word.split("=", 1) for word in words)


def copy(arguments, source, sink):
    tracks = {track.index: sink.add_stream_from_template(track, opaque=True) for track in source.streams}
    decoded = dict.fromkeys(tracks, 0)
    begin = time.monotonic()
    for packet in source.demux():
        index = packet.stream.index
        if arguments.decode:
            # The empty packets at the end bring out what a decoder has kept.
            decoded[index] += len(packet.decode())
        if packet.size == 0:
            continue
        if arguments.realtime and packet.dts is not None:
            due = begin + float(packet.dts * packet.time_base)
            time.sleep(max(0.0, due - time.monotonic()))
        packet.stream = tracks[index]
        sink.mux(packet)
    return decoded


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--realtime", action="store_true", help="no faster than the timestamps say")
    parser.add_argument("--decode", action="store_true", help="decode all tracks as well")
    parser.add_argument("--wait-for", metavar="FILE", help="begin when this file is there")
    parser.add_argument("--log-all", action="store_true", help="everything that FFmpeg has to say")
    parser.add_argument("--input-option", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--output-option", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("input")
    parser.add_argument("format")
    parser.add_argument("output")
    arguments = parser.parse_args()

    major = av.library_versions["libavformat"][0]
    if major != 62:
        sys.exit(f"av {av.__version__} has libavformat {major}, not FFmpeg 8's 62")
    while arguments.wait_for and not os.path.exists(arguments.wait_for):
        time.sleep(0.01)
    av.logging.set_level(av.logging.TRACE if arguments.log_all else av.logging.WARNING)
    try:
        with av.open(arguments.input, options=options(arguments.input_option)) as source:
            output_options = options(arguments.output_option)
            with av.open(arguments.output, "w", format=arguments.format, options=output_options) as sink:
                decoded = copy(arguments, source, sink)
    except av.error.FFmpegError as error:
        sys.exit(f"FFmpeg 8: {error}")
    for index, count in decoded.items() if arguments.decode else ():
        print(f"#decoded {index}: {count}")


main()

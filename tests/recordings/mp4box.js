// What mp4box.js finds in MP4 files, as JSON: node mp4box.js LIBRARY FILE...
const fs = require('fs');
const [library, ...files] = process.argv.slice(2);
const { createFile, MP4BoxBuffer, Log } = require(library);

const complaints = [];
Log.warn = (module, text) => complaints.push(`${module}: ${text}`);
Log.error = Log.warn;

console.log(JSON.stringify(files.map(path => {
    complaints.length = 0;
    const bytes = fs.readFileSync(path);
    const file = createFile();
    file.onError = (...error) => complaints.push(error.join(' '));
    let info = {};
    file.onReady = ready => info = ready;
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(buffer, 0));
    file.flush();
    const samples = info.tracks.map(track => file.getTrackSamplesInfo(track.id));
    const mdat = file.boxes.find(box => box.type === 'mdat');
    return {
        boxes: file.boxes.map(box => box.type),
        isFragmented: info.isFragmented,
        samples: samples.map(track => track.length),
        // Samples that don't lie within the media.
        outside: samples.flat().filter(sample =>
            sample.offset < mdat.start || sample.offset + sample.size > mdat.start + mdat.size).length,
        complaints: [...complaints],
    };
})));

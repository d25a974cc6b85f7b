// What the views of the page are made of: cards, fields and players.
//
// Names and texts come from strangers: they enter the document as text only.

import { encode, inQuery, keys, play, root, rtmp, start } from './player.js';

/** A clone would belong to a document where WebKit plays nothing. */
export const copy = id => document.importNode(document.getElementById(id).content.firstElementChild, true);
export const pathOf = name => root + name.split('/').map(encode).join('/');
/** As one word for a shell. */
const quote = text => (/^[\p{L}\p{N}.:/?=%@+,_~\[\]-]*$/u.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);
export const withKey = inQuery(keys);
export const format = (moment, options) => new Date(moment).toLocaleString([], options);
export const plural = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;

export function add(parent, tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  parent.append(element);
  return element;
}

export const toRecordings = name => pathOf(name) + withKey + '#recordings';

/** Says how a stream's recording goes; links to what there is of it. */
export function showRecording(element, { name, recording }, disk, recorded) {
  const [text, link] = element.children;
  const { state, since, bytes_today: bytes, gaps, behind_s: behind } = recording || {};
  const isFine = !disk || disk.state === 'fine';
  const runs = isFine && /^(recording|behind)$/.test(state);
  let words = isFine ? state && `Recording${runs ? '' : `: ${state}`}` : `Not recording: the disk is ${disk.state.replace('disk ', '')}`;
  const from = isFine ? since : disk.since;
  if (from) words += ` since ${format(from, { timeStyle: 'short' })}`;
  if (runs) words += ` · ${(bytes / 1e9).toFixed(1)} GB today${gaps ? ` · ${plural(gaps, 'gap')}` : ''}`;
  if (state === 'behind') words += ` · ${behind} s behind`;
  put(text, words || '');
  element.className = runs ? 'runs' : '';
  if (!link) return;
  link.href = toRecordings(name);
  link.hidden = !recording && !recorded.includes(name);
}

/** What doesn't change keeps its selection, and screen readers still. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function addField(parent, name, text) {
  const field = copy('url');
  const [label, input, button] = field.children;
  label.textContent = name;
  input.value = text;
  button.setAttribute('aria-label', `Copy ${name}`);
  button.onclick = () => {
    input.select();
    // navigator.clipboard is there with HTTPS only.
    if (document.execCommand('copy')) put(button, 'Copied');
    setTimeout(() => put(button, 'Copy'), 2000);
  };
  parent.append(field);
}

export function addUrls(parent, name) {
  const forms = [['HTTP-FLV', '.flv'], ['MP4', '.mp4'], ['HLS', '.m3u8'], ['This page', '']];
  // RTMP knows no percent signs: names are as they are.
  addField(parent, 'RTMP', quote(`${rtmp}/${name}${withKey}`));
  for (const [label, form] of forms) addField(parent, label, quote(pathOf(name) + form + withKey));
}

/**
 * Opens a player, with a button to stop it if `stopped` is to follow. `begin(video, say)` lets it play, and
 * returns a function that ends that.
 */
export function open(parent, name, stopped, begin = (video, say) => play(video, pathOf(name), name, say)) {
  const box = copy('player');
  const [video, message, bar] = box.children;
  const [text, help] = message.children;
  const [sound, full, stop] = bar.children;
  let kind;
  // Or it doesn't begin by itself.
  video.muted = true;
  parent.append(box);
  const end = begin(video, (words, wanted) => {
    put(text, words);
    if (wanted === kind) return;
    kind = wanted;
    help.textContent = '';
    if (kind === 'urls') addUrls(help, name);
    if (kind === 'key') help.append(copy('key'));
    if (kind && kind.name) add(help, 'a', kind.name).href = kind.url;
  });
  video.setAttribute('aria-label', name);
  video.onvolumechange = () => put(sound, video.muted ? 'Sound on' : 'Sound off');
  sound.onclick = () => {
    const muted = !video.muted;
    for (const other of document.querySelectorAll('video')) other.muted = true;
    video.muted = muted;
    start(video);
  };
  video.onclick = () => (video.paused ? video.play() : sound.onclick());
  full.hidden = !document.fullscreenEnabled && !video.webkitEnterFullscreen;
  full.onclick = () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (box.requestFullscreen) box.requestFullscreen();
    else video.webkitEnterFullscreen(); // iPhone
  };
  stop.hidden = !stopped;
  const close = () => {
    end();
    box.remove();
  };
  stop.onclick = () => {
    close();
    stopped();
  };
  return { first: sound, video, close };
}

// What the page is made of. Names and texts come from strangers: they enter the document as text only.

import { TEXTS, encode, inQuery, keys, play, query, root, rtmp, start } from './player.js';

/** A clone would belong to a document where WebKit plays nothing. */
export const copy = id => document.importNode(document.getElementById(id).content.children[0], true);
export const pathOf = name => root + name.split('/').map(encode).join('/');
/** As one word for a shell. */
const quote = text => (/^[\p{L}\p{N}.:/?=%@+,_~\[\]-]*$/u.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);
export const withKey = inQuery(keys);
export const format = (time, options) => new Date(time).toLocaleString([], options);
export const shortly = time => format(time, { dateStyle: 'short', timeStyle: 'short' });
/** By this machine's clock: the server may have none. */
export function begun(kept, { since, uptime_s: age }) {
  if (kept.since !== since) Object.assign(kept, { since, begun: shortly(Date.now() - age * 1000) });
  return kept.begun;
}
const size = bytes => (bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);
export const rate = kbit => (kbit < 1000 ? `${kbit} kbit/s` : `${(kbit / 1000).toFixed(1)} Mbit/s`);
export const plural = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;

export function add(parent, tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  parent.append(element);
  return element;
}

export const toRecordings = name => pathOf(name) + withKey + '#recordings';

/** Says how a stream's recording goes; links to what there is of it. */
export function showRecording(element, name, { streams, disk }, recorded) {
  const [text, link] = element.children;
  const { recording } = streams.find(s => s.name === name) || {};
  const { state, since, bytes_today: bytes, gaps, behind_s: behind } = recording || {};
  const isFine = !disk || disk.state === 'fine';
  const runs = isFine && /^(recording|behind)$/.test(state);
  let words = isFine ? state && `Recording${runs ? '' : `: ${state}`}` : `Not recording: the disk is ${disk.state.replace('disk ', '')}`;
  const from = isFine ? since : disk.since;
  if (from) words += ` since ${shortly(from)}`;
  if (runs) words += ` · ${size(bytes)} today${gaps ? ` · ${plural(gaps, 'gap')}` : ''}`;
  if (state === 'behind') words += ` · ${behind} s behind`;
  put(text, words || '');
  element.className = runs ? 'runs' : '';
  if (!link) return;
  link.href = toRecordings(name);
  link.hidden = !recording && !recorded.includes(name);
}

let relays = new Map(); // rows, by path and stream

async function change(method, path, said, done, body) {
  const answer = await fetch(`${root}api/v1/${path}${query}`, { method, body }).catch(() => 0);
  put(said, answer ? await answer.text() : TEXTS.silent);
  if (answer.ok) done(put(said, ''));
}

/** Shows pushes and pulls to those who may see them. */
export function showRelays(list, cards) {
  const form = document.querySelector('#relays');
  const [rest, label, said] = form.children;
  const old = relays;
  relays = new Map();
  form.hidden = !list.pushes;
  form.onsubmit = () => {
    change('POST', 'pushes', said, () => form.reset(), label.children[1].value);
    return false;
  };
  const show = (path, way, relay) => {
    const { stream, state, skips, next_try_s: next } = relay;
    const key = `${path} ${stream}`;
    const row = old.get(key) || copy('relay');
    const [first, why] = row.children;
    const [facts, end] = first.children;
    const card = cards.get(stream);
    const parent = card ? card.relays : rest;
    const words = [card ? way : `${stream}: ${way}`, `${state} since ${begun(row, relay)}`, size(relay.bytes)];
    relays.set(key, row);
    old.delete(key);
    // Moved, it would lose the focus.
    if (row.parentNode !== parent) parent.append(row);
    if (state === 'live') words.push(rate(Math.round(relay.bits_per_second / 1000)));
    if (skips) words.push(plural(skips, 'skip'));
    put(facts, words.join(' · '));
    put(why, (relay.why || '') + (next ? ` · next attempt in ${Math.ceil(next)} s` : ''));
    why.className = state === 'waiting' ? 'soft' : 'findings';
    end.ariaLabel = `End: ${stream}: ${way}`;
    end.onclick = () => confirm(end.ariaLabel) && change('DELETE', path, why, () => row.remove());
  };
  for (const r of list.pushes || []) show(`pushes/${r.id}`, `Push to ${r.target}`, r);
  for (const r of list.pulls || []) show(`pulls/${r.id}`, `Pull from ${r.target}`, r);
  for (const row of old.values()) row.remove();
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
  button.ariaLabel = `Copy ${name}`;
  button.onclick = () => {
    input.select();
    // navigator.clipboard is there with HTTPS only.
    if (document.execCommand('copy')) put(button, 'Copied');
    setTimeout(() => put(button, 'Copy'), 2000);
  };
  parent.append(field);
}

export function addUrls(parent, name) {
  const forms = { 'HTTP-FLV': '.flv', MP4: '.mp4', HLS: '.m3u8', 'This page': '' };
  // RTMP knows no percent signs.
  addField(parent, 'RTMP', quote(`${rtmp}/${name}${withKey}`));
  for (const label in forms) addField(parent, label, quote(pathOf(name) + forms[label] + withKey));
}

/** Opens a player, which can be stopped if `stopped` is to follow. `begin(video, say)` returns what ends it. */
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
    if (/[/]/.test(kind)) Object.assign(add(help, 'a', `Save ${kind.split('/').pop()}`), { href: root + kind.slice(1) + query, download: '' });
  });
  video.ariaLabel = name;
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
    video.removeAttribute('src');
    video.load();
    box.remove();
  };
  stop.onclick = () => {
    close();
    stopped();
  };
  return { first: sound, video, close };
}

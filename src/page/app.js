// The page: what is live; or one player, at APP/NAME below.

import { TEXTS, aKey, ask, query, root, rtmp, streams } from './player.js';
import { add, addField, addUrls, begun, copy, open, pathOf, plural, put, rate, showRecording, showRelays, toRecordings, withKey } from './parts.js';

const [main, state, kept, locked, publish] = ['main', 'header p', '#kept', 'section', '#publish'].map(s => document.querySelector(s));
const cards = new Map(); // by name
let recorded = []; // streams with recordings
let polls = 0;

function makeCard(name) {
  const element = copy('card');
  const [screen, title, facts, recording, findings, relays, others] = element.children;
  const button = screen.children[0];
  const card = { element, relays, isPlaying: false };
  let pictured;

  main.append(element);
  add(title, 'a', name).href = pathOf(name) + withKey;
  addUrls(others, name);
  button.ariaLabel = `Play ${name}`;
  button.onclick = () => {
    card.isPlaying = button.hidden = true;
    open(screen, name, () => {
      card.isPlaying = button.hidden = false;
      button.focus();
    }).first.focus();
  };

  card.update = (stream, list) => {
    put(facts, describe(stream, begun(card, stream)));
    showRecording(recording, name, list, recorded);
    put(findings, stream.findings.map(f => f.text).join('\n'));
    if (!stream.is_live || !stream.video || card.isPlaying || document.hidden || Date.now() - pictured < 2e4) return;
    // Loaded behind the one that is there.
    pictured = Date.now();
    const still = document.createElement('video');
    still.muted = true;
    still.onloadeddata = () => {
      button.textContent = '';
      button.append(still);
    };
    still.src = `${pathOf(name)}/frame.mp4${query}`;
  };
  return card;
}

function describe({ is_live, video: v, audio: a, kbit_s_in: kbit, viewers }, since) {
  const facts = is_live ? [] : ['waiting for its publisher'];
  if (v) facts.push(v.codec + (v.width ? ` ${v.width}×${v.height}` : '') + (v.frame_rate ? ` ${v.frame_rate} fps` : ''));
  if (a) facts.push(`${a.codec} ${a.sample_rate / 1000} kHz ${['', 'mono', 'stereo'][a.channels] || plural(a.channels, 'channel')}`);
  if (kbit) facts.push(rate(kbit));
  return [...facts, plural(viewers, 'viewer'), `since ${since}`].join(' · ');
}

function show(list) {
  const { streams, locked: isLocked } = list;
  const live = streams.filter(s => s.is_live).length;
  put(state, live ? `${plural(live, 'stream')} live` : isLocked ? '' : 'Nothing is live.');
  for (const stream of streams) {
    const { name } = stream;
    if (!cards.has(name)) cards.set(name, makeCard(name));
    cards.get(name).update(stream, list);
  }
  for (const [name, card] of cards) {
    // One that is watched stays.
    if (card.isPlaying || streams.some(s => s.name === name)) continue;
    card.element.remove();
    cards.delete(name);
  }
  showRelays(list, cards);
  locked.hidden = !isLocked;
  put(locked.children[0], `There are streams that want ${aKey}.`);
  if (publish.hidden) {
    publish.hidden = false;
    publish.open = !live && !isLocked;
    const server = `${rtmp}/live`;
    addField(publish, 'RTMP URL', `${server}/cam`);
    addField(publish, 'OBS: Server', server);
    addField(publish, 'Stream Key', 'cam');
    addField(publish, 'ffmpeg', `ffmpeg -re -i INPUT -c copy -f flv ${server}/cam`);
  }
}

let path = location.pathname.slice(new URL(root).pathname.length).replace(/^\/+|\/+$/g, '');
try {
  path = decodeURIComponent(path);
} catch (_) {
  // Not encoded.
}

let timer;
async function poll() {
  const list = await streams();
  const isDue = list && list.disk && polls++ % 10 === 0;
  const all = isDue && (await ask('recordings'));
  if (all) recorded = all.recordings.map(r => r.stream);
  if (!list) put(state, TEXTS.silent);
  else if (path) showRecording(main.querySelector('.bar p'), path, list, recorded);
  else show(list);
  if (all) {
    const others = recorded.filter(name => !cards.has(name));
    put(kept, others.length ? 'More recordings:' : '');
    for (const name of others) {
      kept.append(' ');
      add(kept, 'a', name).href = toRecordings(name);
    }
  }
  clearTimeout(timer);
  timer = setTimeout(poll, document.hidden ? 2e4 : path ? 1e4 : 2000);
}

if (!path) {
  locked.append(copy('key'));
  document.addEventListener('visibilitychange', poll);
  poll();
} else {
  document.title = path;
  put(state, path);
  document.querySelector('h1 a').href = root;
  let go;
  if (location.hash) {
    import('./recordings.js').then(m => (go = m.past(main, path)));
  } else {
    document.body.className = 'alone';
    open(main, path);
    poll();
  }
  addEventListener('hashchange', () => (go && location.hash ? go() : location.reload()));
}

// The recordings of a stream: a player, and time lines of a day and an hour. The address says which:
// #recordings, #2026-11-28 (a day here) or #2026-11-28T11:30:00.000Z.

import { TEXTS, aKey, ask, query, sleep, start, streams } from './player.js';
import { add, copy, format, open, pathOf, put, showRecording } from './parts.js';

const MINUTE = 60000;
const HOUR = 60 * MINUTE;

/** Midnight before a time, or `days` later: some days have 23 or 25 hours. */
function midnight(time, days = 0) {
  const date = new Date(time);
  return +new Date(date.getFullYear(), date.getMonth(), date.getDate() + days);
}
const dayOf = time => '#' + new Date(time).toLocaleDateString('sv');

/** Shows recordings in `main`; returns a function to call when the address has changed. */
export function past(main, name) {
  const view = copy('past');
  const url = (from, to) => `${pathOf(`recordings/${name}`)}.mp4${query}&from=${Math.ceil(from)}&to=${Math.ceil(to)}`;
  const [state, screen, days, dayLine, hourLine, tools, part] = view.children;
  const [clock, back, forth, calendar] = days.children;
  const [pause, live, last, choose] = tools.children;
  const [partText, beginHere, endHere, save, cancel] = part.children;
  let spans = [];
  let isGrowing, isLive, player, shown, dragged, cut;
  let [begin, end] = [0, 0]; // of the day
  let place = Date.now();

  const next = (time, isEnd) => {
    const span = spans.find(s => s.to > time + 200);
    if (span) return isEnd ? span.to : Math.max(time, span.from);
    return isGrowing ? time + (isEnd ? HOUR : 0) : undefined;
  };
  const newest = () => spans.length && spans[spans.length - 1].to;
  const isThere = (from, to) => spans.some(s => s.from < to && s.to > from);
  // An hour may be there twice.
  const timeOf = time => format(time, { timeStyle: end - begin === 24 * HOUR ? 'medium' : 'long' });

  const lines = [dayLine, hourLine].map((element, isHour) => {
    const [bars, ticks, slider, ...ends] = element.children;
    const line = {};
    let from, to;
    const percent = time => Math.min(Math.max((time - from) / (to - from), 0), 1) * 100;
    const addBar = (begin, end, className) => {
      const style = `left: ${percent(begin)}%; right: ${100 - percent(end)}%`;
      Object.assign(add(bars, 'i', ''), { className, style });
    };

    line.set = (...range) => {
      [from, to] = range;
      for (const input of [slider, ...ends]) [input.min, input.max] = range;
      ticks.textContent = '';
      for (let time = from; time < to; time += isHour ? 5 * MINUTE : HOUR) {
        const date = new Date(time);
        const tick = add(ticks, 'i', isHour ? format(time, { timeStyle: 'short' }) : date.getHours());
        tick.style.left = percent(time) + '%';
        if ((isHour ? date.getMinutes() / 5 : date.getHours()) % 3) tick.className = 'minor';
      }
      line.draw();
      slider.value = place;
    };
    line.draw = () => {
      bars.textContent = '';
      for (const s of spans) if (s.from < to && s.to > from) addBar(s.from, s.to, '');
      if (cut) addBar(...cut, 'cut');
      ends.forEach((input, i) => ([input.hidden, input.value] = [!cut, cut && cut[i]]));
    };
    line.update = () => {
      if (isHour && !(place >= from && place < to) && !dragged) {
        const hour = new Date(place).setMinutes(0, 0, 0);
        line.set(hour, hour + HOUR);
      }
      slider.value = place;
      slider.ariaValueText = timeOf(place);
      slider.classList.toggle('off', place < from || place > to);
    };
    slider.oninput = () => tick((dragged = +slider.value));
    slider.onchange = slider.onpointerup = slider.onpointercancel = () => {
      if (dragged) seek(dragged);
      dragged = undefined;
    };
    // On the knob, and on iPhones, a click moves nothing.
    slider.onclick = ({ detail, clientX }) => {
      const time = from + ((clientX - element.offsetLeft) / element.offsetWidth) * (to - from);
      if (detail && Math.abs(time - place) > slider.step) seek(time);
    };
    ends.forEach((input, i) => (input.oninput = () => setCut(i, +input.value)));
    return line;
  });

  const draw = () => lines.forEach(line => line.draw());

  /** Moves an end of the part, and the other one out of its way. */
  function setCut(which, time) {
    cut = cut || [time, time + MINUTE];
    cut[which] = time;
    if (cut[1] < cut[0] + 1000) cut[1 - which] = time + (which ? -1000 : 1000);
    save.hidden = !isThere(...cut);
    put(partText, `${timeOf(cut[0])} – ${timeOf(cut[1])}${save.hidden ? ': nothing' : ''}`);
    save.href = `${url(...cut)}&download`;
    draw();
  }

  function setDay(time) {
    [begin, end] = [midnight(time), midnight(time, 1)];
    lines[0].set(begin, end);
    back.href = dayOf(midnight(begin, -1));
    forth.href = dayOf(end);
    forth.hidden = end > Date.now();
    const [title, weeks] = calendar.children;
    put(title, format(begin, { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' }));
    calendar.open = false;
    weeks.textContent = '';
    const first = new Date((spans[0] || { from: begin }).from);
    // From a Monday on.
    for (let day = midnight(first, -((first.getDay() + 6) % 7)); day < Date.now(); day = midnight(day, 1)) {
      const number = new Date(day).getDate();
      const cell = add(weeks, 'a', number > 1 && weeks.lastChild ? number : format(day, { day: 'numeric', month: 'short' }));
      if (isThere(day, midnight(day, 1))) cell.href = dayOf(day);
      if (day === begin) cell.setAttribute('aria-current', 'date');
    }
  }

  function show(play) {
    if (player) player.close();
    shown = undefined;
    player = open(screen, name, undefined, play);
    if (shown) player.video.onclick = toggle;
  }

  /** Plays what is recorded from a time on without a gap, ten minutes at a time. */
  function replay(video, say, wanted) {
    let begun, ended; // what the video has
    let pace; // ms of that in a second of the video, once known: more than 1000 in a time-lapse
    let length = 10 * MINUTE;
    let turn = 0;
    const wall = () => (pace ? begun + video.currentTime * pace : wanted);

    async function load(time) {
      const mine = ++turn;
      wanted = ended = time;
      video.onloadeddata = pace = null;
      for (; mine === turn; await sleep(3)) {
        const from = next(time);
        try {
          if (!from) return say('The recording ends here.');
          // It begins with the keyframe before, and must not grow.
          const end = Math.min(from + length, next(from, true));
          const answer = await fetch(url(from, end), { headers: { Range: 'bytes=0-0' } });
          const text = await answer.text();
          if (mine !== turn) return;
          if (answer.ok) {
            [begun, ended] = ['from', 'to'].map(edge => Date.parse(answer.headers.get(`recording-${edge}`)));
            video.src = url(from, ended - 10);
            video.onloadeddata = () => {
              pace = (ended - begun) / video.duration || 1000;
              length = Math.min(600 * pace, 4 * HOUR);
              video.currentTime = Math.max(0, from - begun) / pace;
            };
            return start(video);
          }
          if (answer.status === 415) {
            video.removeAttribute('src');
            video.load();
            return say('Recorded as FLV. For other players:', text.trim().split(': ')[1]);
          }
          if (/40[13]/.test(answer.status)) say(`The recordings of ${name} want ${aKey}.`, 'key');
          else say(`${text.trim()}. Trying again …`);
        } catch (_) {
          say(TEXTS.silent);
        }
      }
    }

    const seek = time => {
      const second = (time - begun) / pace;
      if (!(pace && second >= 0 && second < video.duration)) return load(time);
      video.currentTime = second;
      start(video);
    };
    video.onwaiting = () => say('Loading …');
    // WebKitGTK doesn't always say that it plays again.
    video.onplaying = video.ontimeupdate = () => pace && say('');
    video.onended = () => (isLive && isGrowing && Date.now() - ended < 1e4 ? live.click() : load(ended + 100));
    video.onerror = () => {
      // 2: the connection broke.
      if (video.error.code === 2) load(wall());
      else say('This browser cannot play it. Others may.');
    };
    load(wanted);
    shown = { seek, wall };
    return () => {
      turn++;
      video.onerror = video.onended = video.ontimeupdate = null;
    };
  }

  function seek(time) {
    time = next(time) || newest() - 5000;
    if (time < 0) return;
    history.replaceState(null, '', '#' + new Date(time).toISOString());
    if (shown) shown.seek(time);
    else show((video, say) => replay(video, say, time));
    tick();
  }

  const toggle = () => player.video[player.video.paused ? 'play' : 'pause']();

  function tick() {
    const before = place;
    place = dragged || (shown ? shown.wall() : Date.now());
    // The day follows, unless another one is looked at.
    if (before >= begin && before < end && (place < begin || place > end)) setDay(place);
    lines.forEach(line => line.update());
    put(clock, timeOf(place));
    put(pause, player && player.video.paused ? 'Play' : 'Pause');
    pause.hidden = !shown || !player.video.src;
    live.hidden = !isLive || !shown;
    last.hidden = !isLive;
    part.hidden = !cut;
    choose.hidden = !newest();
  }

  function go() {
    const text = location.hash.slice(1);
    const isDay = /^[\d-]{10}$/.test(text);
    const time = Date.parse(isDay ? `${text}T00:00` : text);
    setDay(time || Date.now());
    if (isDay && player) return;
    // Which may ask for a key.
    if (!spans.length || (!time && isLive)) show();
    else seek(time || Date.now());
  }

  (async function poll() {
    const [list, all] = await Promise.all([streams(), ask('recordings')]);
    if (list && all) {
      const found = all.recordings.find(r => r.stream === name) || { spans: [] };
      spans = found.spans.map(s => ({ from: Date.parse(s.from), to: Date.parse(s.to) }));
      isGrowing = found.is_recording;
      isLive = list.streams.some(s => s.name === name && s.is_live);
      showRecording(state, name, list, []);
      // The lines may have been drawn without them.
      draw();
      if (!player) go();
    } else put(state.children[0], TEXTS.silent);
    setTimeout(poll, player ? 1e4 : 1000);
  })();

  last.href = `${pathOf(name)}.mp4${query}&last=30s&download`;
  pause.onclick = toggle;
  choose.onclick = () => setCut(0, Math.min(place, newest() - MINUTE));
  [beginHere, endHere].forEach((button, i) => (button.onclick = () => setCut(i, place)));
  cancel.onclick = () => draw((cut = undefined));
  document.onkeydown = ({ key, target, ctrlKey, altKey, metaKey }) => {
    if (ctrlKey || altKey || metaKey || target.type === 'range') return;
    const by = { ArrowLeft: -1e4, ArrowRight: 1e4 }[key];
    if (by) seek(place + by);
    else if (key === ' ' && shown && target === document.body) toggle();
    else return;
    return false;
  };
  main.append(view);
  setInterval(tick, 250);
  return go;
}

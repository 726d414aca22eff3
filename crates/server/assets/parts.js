// Small pieces that every page uses.
import { html, svg, nothing } from './vendor/lit-html/lit-html.js';
import { ago, statusWords } from './fold.js';
import { base } from './api.js';

const PATHS = /** @type {Record<string, any>} */ ({
  ok: svg`<path d="M3.5 8.5l3 3 6-7"/>`,
  bad: svg`<path d="M4 4l8 8M12 4l-8 8"/>`,
  wait: svg`<path d="M8 3.5v5.5"/><path d="M8 12v.5"/>`,
  play: svg`<path d="M5 3.5l7 4.5-7 4.5z"/>`,
  pause: svg`<path d="M5.5 3.5v9M10.5 3.5v9"/>`,
  stop: svg`<path d="M4.5 4.5h7v7h-7z"/>`,
  clock: svg`<circle cx="8" cy="8" r="5"/><path d="M8 5v3l2 1.5"/>`,
  message: svg`<path d="M2.5 3.5h11v7h-6l-3 2.5v-2.5h-2z"/>`,
  step: svg`<path d="M3 8h8M8 4.5L11.5 8 8 11.5"/>`,
  result: svg`<path d="M13 8H5M8 4.500L4.5 8 8 11.5"/>`,
  answer: svg`<path d="M8 2.500l1.7 3.6 3.8.5-2.8 2.7.7 3.900L8 11.300l-3.4 1.9.7-3.900L2.5 6.600l3.8-.500z"/>`,
  eye: svg`<path d="M1.5 8C3 5 5.5 3.7 8 3.700S13 5 14.5 8C13 11 10.5 12.3 8 12.300S3 11 1.5 8z"/><circle cx="8" cy="8" r="1.7"/>`,
  flow: svg`<path d="M3 4h6l4 4-4 4H3"/>`,
  meter: svg`<path d="M3 13V9M8 13V5M13 13V2.5"/>`,
  file: svg`<path d="M4 2.500h5l3 3v8H4zM9 2.500v3h3"/>`,
  unknown: svg`<path d="M6 6a2 2 0 1 1 2.5 2c-.5.3-.5.7-.5 1.3"/><path d="M8 11.800v.4"/>`,
  share: svg`<circle cx="4" cy="8" r="1.7"/><circle cx="12" cy="4" r="1.7"/><circle cx="12" cy="12" r="1.7"/><path d="M5.5 7.300l5-2.500M5.5 8.700l5 2.5"/>`,
  first: svg`<path d="M4 3.500v9M12 3.500L6 8l6 4.500z"/>`,
  last: svg`<path d="M12 3.500v9M4 3.500L10 8l-6 4.500z"/>`,
  prev: svg`<path d="M10.5 3.500L5 8l5.5 4.5"/>`,
  next: svg`<path d="M5.5 3.500L11 8l-5.5 4.5"/>`,
  gone: svg`<path d="M3 8h2M7 8h2M11 8h2"/>`,
  close: svg`<path d="M4 4l8 8M12 4l-8 8"/>`,
});

/** @param {string} name */
export const icon = (name) => html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true">${PATHS[name] ?? PATHS.unknown}</svg>`;

/** @param {string} status @param {object} [more] */
export function badge(status, more) {
  const { word, tone, icon: shape } = statusWords(status, more);
  return html`<span class="badge ${tone}">${icon(shape)}${word}</span>`;
}

/** @param {string | null | undefined} at */
export function when(at) {
  if (!at) return nothing;
  return html`<time datetime=${at} title=${new Date(at).toLocaleString()}>${ago(Date.now() - Date.parse(at))}</time>`;
}

/** Puts text on the clipboard, or shows it where there is none. @param {string} text @param {string} what */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    notify(`Copied ${what}`);
  } catch {
    const dialog = /** @type {HTMLDialogElement} */ (document.createElement('dialog'));
    const area = document.createElement('textarea');
    area.value = text;
    area.readOnly = true;
    area.rows = 8;
    area.setAttribute('aria-label', what);
    const button = document.createElement('button');
    button.textContent = 'Close';
    button.addEventListener('click', () => dialog.close());
    dialog.addEventListener('close', () => dialog.remove());
    dialog.append(area, button);
    document.body.append(dialog);
    dialog.showModal();
    area.select();
  }
}

/** Says something for a moment. @param {string} text */
export function notify(text) {
  let place = document.getElementById('notice');
  if (!place) {
    place = document.createElement('div');
    place.id = 'notice';
    place.setAttribute('role', 'status');
    document.body.append(place);
  }
  place.textContent = text;
  place.classList.add('shown');
  clearTimeout(Number(place.dataset.timer));
  place.dataset.timer = String(setTimeout(() => place.classList.remove('shown'), 2500));
}

/** A button; when it cannot be used it says why. @param {{label: any, click: () => void, reason?: string, kind?: string, title?: string, pressed?: boolean}} options */
export function button({ label, click, reason = '', kind = '', title = '', pressed }) {
  return html`<button type="button" class=${kind} aria-disabled=${reason ? 'true' : 'false'} title=${reason || title || nothing}
    aria-pressed=${pressed === undefined ? nothing : String(pressed)}
    @click=${() => (reason ? notify(reason) : click())}>${label}</button>`;
}

export const sessionPath = (/** @type {string} */ id) => `${base}/agent-view/${id}`;

/** Asks once. @param {string} question @param {string} quote @param {string} yes @returns {Promise<boolean>} */
export const confirmed = (question, quote, yes) => asked(question, quote, yes, 'danger').then((answer) => answer !== null);

/** Asks for a note, that may stay empty; null when it is left. @param {string} question @param {string} label @param {string} yes */
export const noted = (question, label, yes) => asked(question, '', yes, 'primary', label);

/**
 * @param {string} question @param {string} quote @param {string} yes @param {string} kind @param {string} [label] Of a text to write.
 * @returns {Promise<string | null>}
 */
function asked(question, quote, yes, kind, label) {
  return new Promise((resolve) => {
    const dialog = document.createElement('dialog');
    const [heading, text, row, no, ok] = ['h2', 'blockquote', 'p', 'button', 'button'].map((name) => document.createElement(name));
    const area = document.createElement('textarea');
    heading.textContent = question;
    text.textContent = quote;
    area.rows = 3;
    area.setAttribute('aria-label', label ?? '');
    area.placeholder = label ?? '';
    no.textContent = 'Leave it';
    ok.textContent = yes;
    ok.className = kind;
    row.className = 'actions';
    row.append(no, ok);
    dialog.append(heading, label ? area : text, row);
    dialog.setAttribute('aria-label', question);
    /** @type {string | null} */ let answer = null;
    no.addEventListener('click', () => dialog.close());
    ok.addEventListener('click', () => { answer = area.value; dialog.close(); });
    dialog.addEventListener('close', () => { dialog.remove(); resolve(answer); });
    document.body.append(dialog);
    dialog.showModal();
    (label ? area : no).focus();
  });
}

/** Gives a text to the browser as a file. @param {string} text @param {string} name @param {string} [type] */
export function saveAs(text, name, type = 'text/plain') {
  const anchor = document.createElement('a');
  anchor.href = URL.createObjectURL(new Blob([text], { type }));
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 1000);
}

/**
 * The tracker, served as /js/consentry.js. It sends nothing and stores nothing until `consentry.consent(true)`, or
 * until a consent manager named in `data-consent` says that the visitor agreed.
 *
 *   <script defer src="https://collector.example/js/consentry.js" data-site="shop" data-consent="klaro"></script>
 *
 * A classic script: a module cannot see its own tag.
 * `data-endpoint` overrides where events go; otherwise it is `../v1/events`, seen from the script.
 * `data-consent` loads consentry-managers.js from beside the script, see managers.ts for its attributes.
 * `data-subjects="on"` keeps a random token after consent, by which the visitor can export and erase:
 * `localStorage['consentry.subject']`, for the site's privacy page to show.
 * A page that wants to call before the script has loaded starts with `window.consentry = []` and pushes
 * `['consent', true]` or `['event', 'name', props]`.
 */

import { engagementClock } from './engagement.ts';
import type { Loader } from './managers.ts';
import { createQueue } from './queue.ts';
import { listen, safe } from './safe.ts';
import { CONSENT_KEY, SUBJECT_KEY, VISIT_KEY, forget, read, write } from './storage.ts';
import { post } from './transport.ts';
import { randomId, subjectAt, visitAt, type Visit } from './visit.ts';
import { observeVitals, type Vitals } from './vitals.ts';

const SDK = 'consentry-js/0.1.0';
const TICK_MS = 15_000;
const CRASHES_PER_PAGE_MAX = 10;
const MESSAGE_CHARS_MAX = 1000;
const STACK_CHARS_MAX = 4000;

type Fields = Record<string, unknown>;
type Page = { url: string; page_id: string };
type Call = [method: 'consent' | 'withdraw' | 'event', ...args: unknown[]];

interface Consentry {
  /** `true` grants, unless a manager denies; anything else withdraws, removes what is stored, discards what is queued. */
  consent(choice: unknown): void;
  withdraw(): void;
  event(name: string, props?: Fields): void;
  readonly granted: boolean;
}

declare global {
  interface Window {
    consentry?: Consentry | Call[];
  }
  interface Navigator {
    globalPrivacyControl?: boolean;
    connection?: { effectiveType?: string };
  }
  interface Document {
    prerendering?: boolean;
  }
}

/** The fragment never reaches a server by itself, and stays out of the events too. */
const here = (): string => location.href.split('#')[0]!;

const track = (tag: HTMLScriptElement, early: Call[]): void => {
  const { site, consent: managed, subjects } = tag.dataset;
  const endpoint = tag.dataset.endpoint || String(new URL('../v1/events', tag.src));
  let granted = false;
  /** What the site said on this page, and what its consent managers say now: yes, no, or nothing. */
  let choice: boolean | undefined;
  let managers: boolean | undefined;
  /** What the server wants to read for itself, for instance a TC string. */
  let proof: object | undefined;
  let visit: Visit | undefined;
  let page = {} as Page;
  let crashes = 0;
  let deepest = 0;
  /** The page view whose title may still change: frameworks set it after they change the address. */
  let untitled: Fields | undefined;
  let landing: Page | undefined;
  let vitals: (() => Vitals) | undefined;
  let vitalsSent = false;

  const [runClock, takeEngaged] = engagementClock();

  const [push, flush, discard] = createQueue<Fields>((events, hiding) => {
    untitled = undefined;
    const body = {
      site,
      sent_at: Date.now(),
      consent: { analytics: true, ...proof },
      context: {
        visit,
        subject: read(SUBJECT_KEY),
        screen: { w: screen.width, h: screen.height },
        viewport: { w: innerWidth, h: innerHeight },
        language: navigator.language,
        timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
        connection: navigator.connection?.effectiveType,
        app: { sdk: SDK },
      },
      events,
    };
    return post(endpoint, JSON.stringify(body), hiding);
  });

  const add = (type: string, fields: Fields): Fields | undefined => {
    if (!granted) return;
    const ts = Date.now();
    const [current, record] = visitAt(read(VISIT_KEY), ts);
    visit = current;
    write(VISIT_KEY, record);
    if (subjects) write(SUBJECT_KEY, subjectAt(read(SUBJECT_KEY), ts));
    const event = { type, id: randomId(), ts, ...page, ...fields };
    push(event);
    return event;
  };

  const view = (fields: Fields): void => {
    // Letters alone (g to p for 0 to 9): digits would be taken for somebody's number.
    page = { url: here(), page_id: randomId().replace(/\d/g, (digit) => (+digit + 16).toString(36)) };
    crashes = deepest = 0;
    untitled = add('pageview', { title: document.title, ...fields });
  };

  const isActive = () => document.visibilityState === 'visible' && document.hasFocus();

  const pulse = (active = isActive()) => runClock(active, performance.now());

  const measureScroll = () => (deepest = Math.max(deepest, scrollY));

  const engage = (active?: boolean): void => {
    pulse(active);
    measureScroll();
    const engaged_ms = takeEngaged();
    const seen = (deepest + innerHeight) / document.documentElement.scrollHeight;
    if (engaged_ms) add('engagement', { engaged_ms, scroll_pct: Math.min(100, Math.round(seen * 100)) });
  };

  const hide = (): void => {
    engage(false);
    if (granted && vitals && !vitalsSent) {
      vitalsSent = true;
      add('performance', { vitals: vitals(), ...landing });
    }
    flush(true);
  };

  const route = (): void => {
    if (!granted || here() === page.url) return;
    engage();
    view({ prev_url: page.url });
  };

  const crash = (error: any, at: Partial<ErrorEvent>): void => {
    if (crashes++ >= CRASHES_PER_PAGE_MAX) return;
    add('crash', {
      crash: {
        kind: error?.name || 'Error',
        message: String(error?.message || at.message || error).slice(0, MESSAGE_CHARS_MAX),
        stack: error?.stack?.slice(0, STACK_CHARS_MAX),
        source: at.filename,
        line: at.lineno,
        column: at.colno,
        handled: false,
      },
    });
  };

  /** Runs once, at the first grant: until then the page is not observed at all. */
  const observe = (): void => {
    vitals = observeVitals();
    listen(document, 'visibilitychange', () => (document.visibilityState === 'hidden' ? hide() : pulse()));
    listen(window, 'pagehide', hide);
    listen(window, 'focus', () => pulse());
    listen(window, 'blur', () => pulse());
    listen(window, 'scroll', measureScroll);
    listen(window, 'click', ({ target }) => {
      const point = target.closest?.('[data-point]')?.dataset.point;
      if (point) add('click', { point });
    });
    listen(window, 'error', (event) => event.message && crash(event.error, event));
    listen(window, 'unhandledrejection', (event) => crash(event.reason, {}));
    listen(window, 'popstate', route);
    // Heard as soon as the work that changed it is done: by then the address says whose title it is.
    new MutationObserver(() => {
      if (untitled && here() === page.url) untitled.title = document.title;
    }).observe(document.head, { subtree: true, childList: true, characterData: true });
    for (const method of ['pushState', 'replaceState'] as const) {
      const original = history[method];
      history[method] = function (this: History, ...args) {
        original.apply(this, args);
        safe(route)();
      };
    }
    setInterval(safe(() => engage()), TICK_MS);
  };

  /** One no is a no; without a yes nothing begins. */
  const decide = (): void => {
    if (choice === false || managers === false || !(choice || managers)) {
      // What was measured before a withdrawal does not come back with a later grant.
      vitalsSent ||= granted;
      granted = false;
      untitled = undefined;
      discard();
      forget();
    } else if (document.prerendering) {
      // A page that nobody has seen yet is no page view.
      listen(document, 'prerenderingchange', decide);
    } else if (!granted && navigator.globalPrivacyControl !== true) {
      write(CONSENT_KEY, 'granted');
      granted = true;
      if (!vitals) observe();
      pulse();
      takeEngaged();
      view({ referrer: document.referrer || undefined });
      landing ||= page;
    }
  };

  const consent = (yes: unknown): void => {
    choice = yes === true;
    decide();
  };

  /** Follows a choice made in another tab, or while this page lay in the back/forward cache. */
  const follow = (): void => {
    const stored = !!read(CONSENT_KEY);
    if (!managed) consent(stored);
    else if (granted && !stored) {
      // What this page heard is out of date. Its own manager may still say yes again.
      choice = managers = undefined;
      decide();
    }
  };

  const api: Consentry = {
    consent: safe(consent),
    withdraw: safe(() => consent(false)),
    // The copy keeps what the page changes later out, and anything that cannot be sent.
    event: safe((name, props) => add('custom', { name, props: props && JSON.parse(JSON.stringify(props)) })),
    get granted() {
      return granted;
    },
  };
  window.consentry = api;

  listen(window, 'storage', follow);
  listen(window, 'pageshow', (event) => {
    if (!event.persisted) return;
    const before = granted;
    follow();
    pulse();
    if (before && granted) view({});
  });

  if (managed) {
    // The stored choice counts for nothing here: the managers know better.
    const loader: Loader = document.createElement('script');
    loader.src = String(new URL('consentry-managers.js', tag.src));
    loader.nonce = tag.nonce;
    loader.options = tag.dataset;
    loader.say = (yes, payload) => {
      managers = yes;
      proof = payload;
      decide();
    };
    document.head.append(loader);
  } else if (read(CONSENT_KEY)) api.consent(true);
  for (const [method, ...args] of early) (api[method] as (...args: unknown[]) => void)?.(...args);
};

const currentScript = document.currentScript as HTMLScriptElement | null;
const earlier = window.consentry;
// Included twice: the first one stays.
if (currentScript && (!earlier || Array.isArray(earlier))) {
  safe(track)(currentScript, earlier || []);
}

/** A page's globals, as far as the modules for the consent managers look at them, and what a module says. */
import { mock, type TestContext } from 'node:test';
import { POLLS_MAX, POLL_MS, SETTLE_MS, type Options, type Payload, type State, type Watch } from '../src/managers/watch.ts';

export const openPage = (context: TestContext, globals: object = {}) => {
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout'] });
  context.after(() => mock.timers.reset());
  const window: any = Object.assign(new EventTarget(), globals);
  const document = { cookie: '', readyState: 'complete', documentElement: { matches: () => false } };
  const posted: string[] = [];
  Object.assign(globalThis, {
    window,
    document,
    location: { host: 'shop.example', origin: 'https://shop.example' },
    postMessage: (message: string) => posted.push(message),
  });
  const said: State[] = [];
  const payloads: (Payload | undefined)[] = [];

  /** Lets the promises of a manager settle. */
  const settle = async () => {
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  return {
    window,
    document,
    posted,
    said,
    payloads,
    settle,
    watch: (watch: Watch, options: Options = {}) => {
      watch((state, payload) => {
        said.push(state);
        payloads.push(payload);
      }, options);
    },
    dispatch: (type: string, fields: object = {}) => window.dispatchEvent(Object.assign(new Event(type), fields)),
    /** One round of polling. */
    poll: async () => {
      mock.timers.tick(POLL_MS);
      await settle();
    },
    /** After what a manager announced has been asked for again. */
    later: async () => {
      mock.timers.tick(SETTLE_MS);
      await settle();
    },
    giveUp: async () => {
      for (let i = 0; i <= POLLS_MAX; i++) mock.timers.tick(POLL_MS);
      await settle();
    },
    last: () => said.at(-1),
  };
};

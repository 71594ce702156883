/** Collects web vitals as they settle; what is known when the page is first hidden is what is sent. */

import { onCLS } from 'web-vitals/onCLS.js';
import { onFCP } from 'web-vitals/onFCP.js';
import { onINP } from 'web-vitals/onINP.js';
import { onLCP } from 'web-vitals/onLCP.js';

export type Vitals = Record<string, number>;

/** Starts to observe, buffered, so that what happened before consent was given is not lost. Called once. */
export const observeVitals = (): (() => Vitals) => {
  const vitals: Vitals = {};
  // On navigation `pagehide` comes before the visibility change on which the metrics are final.
  // Hearing of every change lets one beacon carry all of it.
  for (const on of [onFCP, onLCP, onINP, onCLS]) {
    on(
      ({ name, value }) => {
        // Milliseconds are whole; the layout shift is a small number without a unit.
        vitals[name.toLowerCase()] = name === 'CLS' ? Math.round(value * 1e4) / 1e4 : Math.round(value);
      },
      { reportAllChanges: true },
    );
  }
  return () => {
    const load = performance.getEntriesByType('navigation')[0] as
      | (PerformanceNavigationTiming & { activationStart?: number })
      | undefined;
    if (load) {
      // Zero is a moment that has not come. A prerendered page is counted from when it was shown.
      const set = (name: string, at: number) => {
        if (at) vitals[name] = Math.max(0, Math.round(at - (load.activationStart || 0)));
      };
      // The very reading of web-vitals' onTTFB, without its 100 bytes of waiting.
      set('ttfb', load.responseStart);
      set('dom', load.domContentLoadedEventEnd);
      set('load', load.loadEventEnd);
    }
    return vitals;
  };
};

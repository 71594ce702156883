/** Nothing that goes wrong in here is the page's business. */
export const safe =
  <A extends unknown[]>(work: (...args: A) => unknown) =>
  (...args: A): void => {
    try {
      work(...args);
    } catch {
      // Measuring must never break what it measures.
    }
  };

/** Capturing: also hears on the window what is dispatched on the document and does not bubble. */
export const listen = (target: EventTarget, type: string, work: (event: any) => unknown): void =>
  target.addEventListener(type, safe(work), true);

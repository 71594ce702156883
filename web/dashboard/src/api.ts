/** The statistics API (`/v1/stats`): shapes, the token, few requests at a time, errors that say what to do. */

export type Metric = string;
export type DateRange = string | [string, string];
export type Filter = [operator: string, dimension: string, values: string[]];

export interface Query {
  site: string;
  metrics: Metric[];
  date_range: DateRange;
  dimensions?: string[];
  filters?: Filter[];
  include?: { time_labels?: boolean; total_rows?: boolean; comparisons?: { mode: 'previous_period' } };
  order_by?: [string, 'asc' | 'desc'][];
  pagination?: { limit: number; offset: number };
}

export interface Row {
  dimensions: string[];
  metrics: (number | null)[];
  comparison?: { metrics: (number | null)[]; change: (number | null)[] };
}

export interface Completeness {
  received: number;
  stored: number;
  in_flight: number;
  quarantined: number;
  rejected: number;
  dropped: Record<string, number>;
  share_stored: number | null;
  share_consented: number | null;
}

export interface Meta {
  time_labels?: string[];
  total_rows?: number;
  withheld?: { groups: number; metrics: (number | null)[] | null };
  k_anonymity: number;
  time_zone: string;
  warnings?: (string | { message: string })[];
  noise?: { epsilon: number } | number | string;
}

export interface Answer {
  results: Row[];
  meta: Meta;
  query: Query;
  completeness?: Completeness;
}

export interface Site {
  id: string;
  time_zone: string;
  k_anonymity: number;
  first_day: string | null;
}

export interface Realtime {
  visitors: number | null;
  minutes: (number | null)[];
  pages: { page: string; visitors: number }[];
  /** The end of the half hour that is told of, which stands still while fewer than k visitors come and go. */
  as_of?: string;
  /** Why nothing is told: of fewer than k, or by fewer than k from what was told before. */
  withheld?: 'few' | 'difference';
  k_anonymity: number;
  completeness?: Completeness;
}

export interface FunnelStep {
  label: string;
  visits: number | null;
  share_of_first: number | null;
  share_of_former: number | null;
}

export interface Crash {
  fingerprint: string;
  kind: string;
  message: string;
  stack: string;
  source: string;
  versions: string[];
  crashes: number;
  visitors: number;
  first_seen: string | null;
  last_seen: string | null;
}

/** What the server refused, in its words. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field?: string,
    readonly retryAfterS?: number,
  ) {
    super(message);
  }
}

const TOKEN_KEY = 'consentry.token';
/** More would only wait in the server's own line. */
const REQUESTS_MAX = 4;
/** A server that says "later" is asked once more where later is soon. */
const RETRY_AFTER_S_MAX = 5;

let shared = '';
/** A share link's token goes before the one that was entered; it may do less. */
export const useShare = (token: string): void => {
  shared = token;
};
/** Keeps the token for this tab and no longer; '' forgets it. */
export const keepToken = (token: string): void => {
  if (token) sessionStorage.setItem(TOKEN_KEY, token);
  else sessionStorage.removeItem(TOKEN_KEY);
};
export const hasToken = (): boolean => Boolean(shared || sessionStorage.getItem(TOKEN_KEY));

let running = 0;
const waiting: (() => void)[] = [];

const turn = async <T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> => {
  if (running >= REQUESTS_MAX) await new Promise<void>((go) => waiting.push(go));
  else running++;
  try {
    signal?.throwIfAborted();
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else running--;
  }
};

const refusal = async (response: Response): Promise<ApiError> => {
  const later = Number(response.headers.get('retry-after')) || undefined;
  const body = (await response.json().catch(() => undefined)) as
    | { error?: { code?: string; message?: string; field?: string } }
    | undefined;
  const { code = `http_${response.status}`, message = `The server answered ${response.status}.`, field } = body?.error ?? {};
  return new ApiError(response.status, code, message, field, later);
};

const pause = (s: number, signal?: AbortSignal) =>
  new Promise<void>((go, stop) => {
    const timer = setTimeout(go, s * 1000);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      stop(signal.reason);
    });
  });

const send = async (path: string, body: unknown, signal: AbortSignal | undefined, mayRetry = true): Promise<Response> => {
  const token = shared || sessionStorage.getItem(TOKEN_KEY);
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
  if (body !== undefined) headers['content-type'] = 'application/json';
  const response = await fetch(`/v1/stats/${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers,
    credentials: 'omit',
    cache: 'no-store',
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal ? { signal } : {}),
  }).catch((fault: unknown) => {
    if (signal?.aborted) throw fault;
    throw new ApiError(0, 'unreachable', 'The collector does not answer. Is it running, and is its admin address this one?');
  });
  if (response.ok) return response;
  const error = await refusal(response);
  const soon = error.retryAfterS !== undefined && error.retryAfterS <= RETRY_AFTER_S_MAX;
  if (mayRetry && soon && (error.status === 429 || error.status === 503)) {
    await pause(error.retryAfterS ?? 1, signal);
    return send(path, body, signal, false);
  }
  throw error;
};

const ask = <T>(path: string, body?: unknown, signal?: AbortSignal): Promise<T> =>
  turn(async () => (await (await send(path, body, signal)).json()) as T, signal);

const parameters = (given: Record<string, DateRange>): string =>
  new URLSearchParams(
    Object.entries(given).map(([name, value]) => [name, Array.isArray(value) ? value.join(',') : value]),
  ).toString();

export const query = (body: Query, signal?: AbortSignal) => ask<Answer>('query', body, signal);
export const sites = async (): Promise<Site[]> => (await ask<{ sites: Site[] }>('sites')).sites;
export const realtime = (site: string, signal?: AbortSignal) =>
  ask<Realtime>(`realtime?${parameters({ site })}`, undefined, signal);
export const crashes = (site: string, range: DateRange, filters: Filter[], signal?: AbortSignal) =>
  ask<{ crashes: Crash[]; meta: Meta }>(
    `crashes?${parameters({ site, date_range: range, ...(filters.length ? { filters: JSON.stringify(filters) } : {}) })}`,
    undefined,
    signal,
  );
export const funnel = (body: unknown, signal?: AbortSignal) =>
  ask<{ steps: FunnelStep[]; meta: Meta; completeness?: Completeness }>('funnel', body, signal);
export const share = (body: unknown) => ask<{ token: string; expires_at: string; path: string }>('shares', body);

/** Saves what a query gives as a file. */
export const download = async (body: Query, format: 'csv' | 'jsonl' | 'parquet', name: string): Promise<void> => {
  const blob = await turn(async () => (await send('export', { ...body, format }, undefined)).blob());
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = `${name}.${format}`;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
};

/** The time series: hover tells a bucket's figures, dragging (or Shift with the arrow keys) chooses a range. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { button, fill, h, scroller } from './dom.ts';
import { compact, kindOf, value } from './format.ts';
import { type Interval, bucketName, bucketTick } from './period.ts';

export interface Series {
  metric: string;
  interval: Interval;
  labels: string[];
  values: (number | null)[];
  /** The former period's, by position; none where nothing is compared. */
  former?: { labels: string[]; values: (number | null)[] };
  k: number;
}

const HEIGHT_PX = 240;
const MARGIN_PX = 8;

const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const asTable = (series: Series): HTMLElement => {
  const { label } = kindOf(series.metric);
  const rows = series.labels.map((bucket, at) =>
    h(
      'tr',
      {},
      h('th', { scope: 'row' }, bucketName(bucket, series.interval)),
      h('td', {}, value(series.metric, series.values[at], series.k)),
      series.former && h('td', {}, value(series.metric, series.former.values[at], series.k)),
    ),
  );
  const head = h(
    'tr',
    {},
    h('th', { scope: 'col' }, 'When'),
    h('th', { scope: 'col' }, label),
    series.former && h('th', { scope: 'col' }, 'Former period'),
  );
  return scroller(
    `${label} as a table`,
    'scroll',
    h('table', {}, h('caption', { class: 'unseen' }, `${label} over time`), h('thead', {}, head), h('tbody', {}, rows)),
  );
};

/**
 * A chart of `series`. `onrange` gets the first and last position of a chosen range. The result ends with `destroy`, which lets
 * go of what it watches.
 */
export const chart = (series: Series, onrange: (first: number, last: number) => void) => {
  const { label, write } = kindOf(series.metric);
  const count = series.labels.length;
  const plotted = h('div', { class: 'plot' });
  const tip = h('div', { class: 'tip', hidden: true });
  const slider = h(
    'div',
    {
      class: 'chart',
      role: 'slider',
      tabindex: 0,
      'aria-label': `${label} over time. Arrow keys move, Shift with arrow keys chooses a range, Enter shows it.`,
      'aria-valuemin': 0,
      'aria-valuemax': Math.max(count - 1, 0),
    },
    plotted,
    tip,
  );
  const details = h('details', {}, h('summary', {}, 'Figures as a table'));
  details.addEventListener('toggle', () => {
    if (details.open && details.children.length === 1) details.append(asTable(series));
  });
  const element = h('div', {}, slider, details);

  const words = (at: number): string[] => {
    const bucket = series.labels[at];
    if (bucket === undefined) return [];
    const lines = [bucketName(bucket, series.interval), `${label}: ${value(series.metric, series.values[at], series.k)}`];
    const then = series.former?.labels[at];
    if (then !== undefined) {
      lines.push(`${bucketName(then, series.interval)}: ${value(series.metric, series.former?.values[at], series.k)}`);
    }
    return lines;
  };

  let plot: uPlot | undefined;
  let at = Math.max(count - 1, 0);
  let anchor: number | undefined;
  const told = (): void => {
    slider.setAttribute('aria-valuenow', String(at));
    const chosen = anchor === undefined ? '' : `; chosen from ${words(Math.min(anchor, at))[0]} to ${words(Math.max(anchor, at))[0]}`;
    slider.setAttribute('aria-valuetext', `${words(at).join(', ') || 'No figures'}${chosen}`);
  };
  told();

  const show = (position: number | null | undefined): void => {
    const lines = position === null || position === undefined ? [] : words(position);
    tip.hidden = !lines.length || !plot;
    if (!lines.length || !plot || position === null || position === undefined) return;
    fill(tip, lines.map((line, index) => h('div', { class: index ? '' : 'tip-head' }, line)));
    const left = plot.valToPos(position, 'x') + plot.over.offsetLeft;
    const room = slider.clientWidth - tip.offsetWidth - MARGIN_PX;
    tip.style.left = `${Math.max(MARGIN_PX, Math.min(left + MARGIN_PX * 2, room))}px`;
    at = position;
    told();
  };

  const choose = (first: number, last: number): void => onrange(Math.max(first, 0), Math.min(last, count - 1));
  const mark = (): void => {
    if (!plot) return;
    const [first, last] = [Math.min(anchor ?? at, at), Math.max(anchor ?? at, at)];
    const left = plot.valToPos(first, 'x');
    const width = anchor === undefined ? 0 : plot.valToPos(last, 'x') - left;
    plot.setSelect({ left, width, top: 0, height: plot.over.clientHeight }, false);
  };

  const options = (width: number): uPlot.Options => {
    const [line, soft, grid, ink] = [colour('--series'), colour('--former'), colour('--line'), colour('--soft')];
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: '12px system-ui, sans-serif' };
    const points = { show: count < 2 || series.values.every((one, index) => one === null || series.values[index - 1] == null) };
    return {
      width,
      height: HEIGHT_PX,
      scales: { x: { time: false, range: [-0.2, Math.max(count - 0.8, 0.2)] }, y: { range: (_, __, max) => [0, (max || 1) * 1.1] } },
      legend: { show: false },
      cursor: {
        y: false,
        // The line stands on the bucket that is told.
        move: (self, left, top) => [left < 0 ? left : self.valToPos(Math.max(0, Math.min(count - 1, Math.round(self.posToVal(left, 'x')))), 'x'), top],
        drag: { x: true, y: false, setScale: false, dist: 6 }, points: { size: 8 },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          space: 64,
          incrs: [1, 2, 3, 6, 7, 12, 14, 24, 28, 48, 96, 168, 336],
          values: (_, splits) =>
            splits.map((split) => {
              const bucket = Number.isInteger(split) ? series.labels[split] : undefined;
              return bucket === undefined ? '' : bucketTick(bucket, series.interval);
            }),
        },
        { ...axis, size: 56, values: (_, splits) => splits.map((split) => (split >= 1000 ? compact(split) : write(split))) },
      ],
      series: [
        {},
        { stroke: line, width: 2, fill: `${line}1f`, points },
        ...(series.former ? [{ stroke: soft, width: 1.5, dash: [6, 4], points: { show: false } }] : []),
      ],
      hooks: {
        setCursor: [(self) => show(self.cursor.idx)],
        setSelect: [
          (self) => {
            const { left, width } = self.select;
            if (width < 6) return;
            choose(Math.ceil(self.posToVal(left, 'x') - 0.5), Math.floor(self.posToVal(left + width, 'x') + 0.5));
          },
        ],
      },
    };
  };

  const draw = (): void => {
    const width = Math.floor(slider.clientWidth);
    if (width < 50) return;
    plot?.destroy();
    const data: uPlot.AlignedData = [series.labels.map((_, index) => index), series.values];
    if (series.former) data.push(series.labels.map((_, index) => series.former?.values[index] ?? null));
    plot = new uPlot(options(width), data, plotted);
  };

  slider.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -7, PageDown: 7, Home: -count, End: count }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      if (event.shiftKey) anchor ??= at;
      else anchor = undefined;
      at = Math.max(0, Math.min(count - 1, at + step));
      plot?.setCursor({ left: plot.valToPos(at, 'x'), top: 0 }, false);
      show(at);
      mark();
      told();
    } else if (event.key === 'Enter' && anchor !== undefined) {
      choose(Math.min(anchor, at), Math.max(anchor, at));
    } else if (event.key === 'Escape') {
      anchor = undefined;
      tip.hidden = true;
      mark();
      told();
    }
  });
  slider.addEventListener('blur', () => (tip.hidden = true));

  const watch = new ResizeObserver(() => {
    if (plot) plot.setSize({ width: Math.floor(slider.clientWidth), height: HEIGHT_PX });
    else draw();
  });
  watch.observe(slider);
  return {
    element,
    /** Draws anew, as when the colours have changed. */
    draw,
    destroy: (): void => {
      watch.disconnect();
      plot?.destroy();
    },
  };
};

/** A button that goes back to whole periods. */
export const wholeButton = (onclick: () => void): HTMLElement => button('Show the whole period', onclick, { class: 'quiet' });

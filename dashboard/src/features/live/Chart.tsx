import { useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

import { SEVERITIES } from '../../api/types';
import { formatClock, formatCompact, formatValue } from '../../ui/format';
import { SeverityIcon } from '../../ui/icons';
import {
  bandsOf,
  groupMarkers,
  indexAt,
  readingAt,
  type Band,
  type Marker,
  type Prepared,
  type Range,
  type Reading,
} from './series';

const GUTTER = 46;
const RIGHT = 14;
/** Room for the shape and a count beside it. */
const MARKER_PIXELS = 36;

interface Props {
  prepared: Prepared;
  range: Range;
  markers: readonly Marker[];
  selected: string | null;
  onSelect: (id: string) => void;
  /** Colours are read from the style sheet again when it changes. */
  theme: string;
  compact: boolean;
}

/** What the drawing hooks read: always the newest props, without building the chart anew. */
type Latest = Pick<Props, 'prepared' | 'range' | 'markers' | 'selected'>;

interface Ink {
  trace: string;
  traceFill: string;
  error: string;
  grid: string;
  text: string;
  hatch: string;
  panel: string;
  severity: ReadonlyMap<string, string>;
}

function readInk(element: Element): Ink {
  const style = getComputedStyle(element);
  const ink = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    trace: ink('trace'),
    traceFill: ink('trace-fill'),
    error: ink('error-ink'),
    grid: ink('grid'),
    text: ink('muted'),
    hatch: ink('hatch'),
    panel: ink('panel'),
    severity: new Map(SEVERITIES.map((level) => [level, ink(`severity-${level}`)])),
  };
}

export function Chart(props: Props) {
  const { prepared, range, markers, selected, onSelect, theme, compact } = props;
  const box = useRef<HTMLDivElement>(null);
  const volumeBox = useRef<HTMLDivElement>(null);
  const errorBox = useRef<HTMLDivElement>(null);
  const plots = useRef<uPlot[]>([]);
  const latest = useRef<Latest>({ prepared, range, markers, selected });
  const isPointerInside = useRef(false);
  const [width, setWidth] = useState(0);
  const [hovered, setHovered] = useState<number | null>(null);
  /** The time that the arrow keys point at, in seconds: it stays put while the chart moves on. */
  const [pointed, setPointed] = useState<number | null>(null);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => {
      setWidth(element.clientWidth);
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
    };
  }, []);

  const heights = compact ? HEIGHTS.compact : HEIGHTS.wide;

  useLayoutEffect(() => {
    if (!box.current || !volumeBox.current || !errorBox.current || width === 0) return;
    const ink = readInk(box.current);
    const shared = { width, ink, latest, isPointerInside, onHover: setHovered };
    const { prepared: now } = latest.current;
    const volume = new uPlot(
      volumeOptions(shared, heights.volume),
      volumeData(now),
      volumeBox.current,
    );
    const errors = new uPlot(
      errorOptions(shared, heights.errors),
      errorData(now),
      errorBox.current,
    );
    plots.current = [volume, errors];
    return () => {
      plots.current = [];
      volume.destroy();
      errors.destroy();
    };
  }, [width, heights, theme]);

  useEffect(() => {
    latest.current = { prepared, range, markers, selected };
    const [volume, errors] = plots.current;
    volume?.setData(volumeData(prepared));
    errors?.setData(errorData(prepared));
  }, [prepared, range, markers, selected]);

  const pointedIndex = pointed === null ? null : indexAt(prepared, pointed);
  useEffect(() => {
    for (const plot of plots.current) {
      if (pointedIndex === null) continue;
      const left = plot.valToPos(prepared.x[pointedIndex] ?? 0, 'x');
      plot.setCursor({ left, top: -10 }, false);
    }
  }, [pointedIndex, prepared, range]);

  const index = hovered ?? pointedIndex ?? prepared.last;
  const reading = index === null ? null : readingAt(prepared, index);
  const plotWidth = Math.max(0, width - GUTTER - RIGHT);
  const groups = useMemo(
    () => groupMarkers(markers, range, plotWidth, MARKER_PIXELS, SEVERITIES),
    [markers, range, plotWidth],
  );

  const onKeyDown = (event: KeyboardEvent): void => {
    const step = STEPS[event.key];
    if (event.key === 'Escape' && pointed !== null) {
      setPointed(null);
      for (const plot of plots.current) plot.setCursor({ left: -10, top: -10 }, false);
      event.stopPropagation();
    }
    if (step === undefined) return;
    event.preventDefault();
    const from = pointedIndex ?? prepared.last ?? prepared.x.length - 1;
    const next = Math.min(prepared.x.length - 1, Math.max(0, from + step));
    setPointed(prepared.x[next] ?? null);
  };

  return (
    <div className="chart" ref={box}>
      <Readings reading={reading} bucketSeconds={prepared.bucketSeconds} />
      <div className="chart-markers" style={{ marginLeft: GUTTER, marginRight: RIGHT }}>
        {groups.map(({ shown, count, left }) => (
          <button
            key={shown.id}
            type="button"
            tabIndex={-1}
            className="chart-marker"
            data-level={shown.severity}
            aria-current={shown.id === selected}
            style={{ left }}
            title={count > 1 ? `${shown.title} (and ${count - 1} more)` : shown.title}
            onClick={() => {
              onSelect(shown.id);
            }}
          >
            <SeverityIcon level={shown.severity} />
            {count > 1 && <span aria-hidden="true">{count}</span>}
            <span className="visually-hidden">{shown.title}</span>
          </button>
        ))}
      </div>
      <div
        className="chart-plots"
        role="slider"
        tabIndex={0}
        aria-label="Time in the chart"
        aria-orientation="horizontal"
        aria-valuemin={0}
        aria-valuemax={Math.max(0, prepared.x.length - 1)}
        aria-valuenow={index ?? 0}
        aria-valuetext={reading ? spoken(reading) : 'no records'}
        onKeyDown={onKeyDown}
        onMouseEnter={() => {
          isPointerInside.current = true;
        }}
        onMouseLeave={() => {
          isPointerInside.current = false;
          setHovered(null);
        }}
      >
        <div ref={volumeBox} aria-hidden="true" />
        <div ref={errorBox} aria-hidden="true" />
      </div>
    </div>
  );
}

const HEIGHTS = {
  wide: { volume: 200, errors: 104 },
  compact: { volume: 148, errors: 92 },
};

const STEPS: Readonly<Record<string, number>> = {
  ArrowLeft: -1,
  ArrowRight: 1,
  PageUp: -10,
  PageDown: 10,
  Home: -Infinity,
  End: Infinity,
};

const perSecond = (value: number | null): string => (value === null ? '–' : formatValue(value));

const spoken = ({ start, records, errors, filling }: Reading): string =>
  records === null
    ? `${formatClock(start * 1_000)}, no records`
    : `${formatClock(start * 1_000)}, ${perSecond(records)} records per second, ` +
      `${perSecond(errors)} errors per second${filling ? ', still filling' : ''}`;

/** The chart's legend and its value under the cursor in one line. */
function Readings({ reading, bucketSeconds }: { reading: Reading | null; bucketSeconds: number }) {
  return (
    <dl className="readings">
      <div data-series="records">
        <dt>Records/s</dt>
        <dd>{perSecond(reading?.records ?? null)}</dd>
      </div>
      <div data-series="errors">
        <dt>Errors/s</dt>
        <dd>{perSecond(reading?.errors ?? null)}</dd>
      </div>
      <div data-series="time">
        <dt className="visually-hidden">At</dt>
        <dd>
          {reading ? formatClock(reading.start * 1_000) : '–'}
          <span className="readings-note">
            {reading?.filling ? ' still filling' : ` ${bucketSeconds} s`}
          </span>
        </dd>
      </div>
    </dl>
  );
}

const volumeData = ({ x, records, recordsFilling }: Prepared): uPlot.AlignedData => [
  x,
  records,
  recordsFilling,
];

const errorData = ({ x, errors, errorsFilling }: Prepared): uPlot.AlignedData => [
  x,
  errors,
  errorsFilling,
];

interface Shared {
  width: number;
  ink: Ink;
  latest: { readonly current: Latest };
  isPointerInside: { readonly current: boolean };
  onHover: (index: number | null) => void;
}

function baseOptions({ width, ink, latest, isPointerInside, onHover }: Shared, height: number) {
  return {
    width,
    height,
    padding: [8, RIGHT, 7, 0] as uPlot.Padding,
    legend: { show: false },
    cursor: {
      sync: { key: 'barograph', setSeries: false },
      drag: { x: false, y: false },
      points: { size: 7, fill: ink.panel },
      y: false,
    },
    scales: {
      x: {
        time: true,
        range: (): [number, number] => [latest.current.range.from, latest.current.range.to],
      },
      y: {
        range: (_: uPlot, __: number | null, max: number | null): [number, number] => [
          0,
          Math.max(1, (max ?? 0) * 1.12),
        ],
      },
    },
    hooks: {
      drawClear: [
        (plot: uPlot) => {
          drawGaps(plot, ink, latest.current);
          drawBands(plot, ink, latest.current);
        },
      ],
      setCursor: [
        (plot: uPlot) => {
          // New data fires this too, also while the arrow keys hold the cursor.
          const isPointed = isPointerInside.current && (plot.cursor.left ?? -10) >= 0;
          onHover(isPointed ? (plot.cursor.idx ?? null) : null);
        },
      ],
    },
  };
}

function yAxis(ink: Ink): uPlot.Axis {
  return {
    scale: 'y',
    size: GUTTER,
    gap: 6,
    stroke: ink.text,
    font: '11px Roboto, system-ui, sans-serif',
    grid: { stroke: ink.grid, width: 1 },
    ticks: { show: false },
    space: 38,
    values: (_, ticks) => ticks.map((tick) => formatCompact(tick)),
  };
}

function xAxis(ink: Ink, withLabels: boolean): uPlot.Axis {
  return {
    stroke: ink.text,
    font: '11px Roboto, system-ui, sans-serif',
    grid: { stroke: ink.grid, width: 1 },
    ticks: { show: false },
    size: withLabels ? 22 : 0,
    gap: 6,
    space: 84,
    values: (_, ticks) =>
      withLabels ? ticks.map((tick) => formatClock(tick * 1_000).slice(0, 5)) : ticks.map(() => ''),
  };
}

function volumeOptions(shared: Shared, height: number): uPlot.Options {
  const { ink, latest } = shared;
  const base = baseOptions(shared, height);
  const curve = uPlot.paths.spline?.();
  const alone = { size: 4, fill: ink.trace, stroke: ink.trace, filter: isolatedPoints };
  return {
    ...base,
    axes: [xAxis(ink, false), yAxis(ink)],
    series: [
      {},
      {
        label: 'records/s',
        stroke: ink.trace,
        width: 1.75,
        fill: ink.traceFill,
        points: alone,
        ...(curve && { paths: curve }),
      },
      {
        label: 'still filling',
        stroke: ink.trace,
        width: 1.25,
        dash: [3, 4],
        points: { show: false },
      },
    ],
    hooks: {
      ...base.hooks,
      draw: [
        (plot: uPlot) => {
          drawPen(plot, ink, latest.current);
        },
      ],
    },
  };
}

function errorOptions(shared: Shared, height: number): uPlot.Options {
  const { ink } = shared;
  const bars = uPlot.paths.bars?.({ size: [0.78, 14], radius: 0.15 });
  const paths = bars && { paths: bars };
  return {
    ...baseOptions(shared, height),
    axes: [xAxis(ink, true), yAxis(ink)],
    series: [
      {},
      {
        label: 'errors/s',
        stroke: ink.error,
        width: 0,
        fill: ink.error,
        points: { show: false },
        ...paths,
      },
      {
        label: 'still filling',
        stroke: ink.error,
        width: 1,
        dash: [2, 2],
        points: { show: false },
        ...paths,
      },
    ],
  };
}

/** A bucket between two gaps has no line to be part of. */
function isolatedPoints(plot: uPlot, series: number): number[] {
  const values = plot.data[series] ?? [];
  const found: number[] = [];
  for (let at = 0; at < values.length; at += 1) {
    if (values[at] != null && values[at - 1] == null && values[at + 1] == null) found.push(at);
  }
  return found;
}

interface Box {
  left: number;
  width: number;
}

/** The stretch in canvas pixels, cut to the plot; null when it lies outside. */
function boxOf(plot: uPlot, from: number, to: number, narrowest: number): Box | null {
  const { left: edge, width } = plot.bbox;
  const start = Math.max(edge, plot.valToPos(from, 'x', true));
  const end = Math.min(edge + width, plot.valToPos(to, 'x', true));
  if (end < edge || start > edge + width) return null;
  const drawn = Math.max(narrowest, end - start);
  return { left: Math.min(start, edge + width - drawn), width: drawn };
}

function drawGaps(plot: uPlot, ink: Ink, { prepared }: Latest): void {
  const { ctx, bbox } = plot;
  const step = 7 * uPlot.pxRatio;
  for (const gap of prepared.gaps) {
    const box = boxOf(plot, gap.from, gap.to, 1);
    if (!box) continue;
    ctx.save();
    ctx.beginPath();
    ctx.rect(box.left, bbox.top, box.width, bbox.height);
    ctx.clip();
    ctx.beginPath();
    // Anchored to the canvas, so that neighbouring gaps share one pattern.
    const first = Math.floor((box.left - bbox.height) / step) * step;
    for (let x = first; x < box.left + box.width; x += step) {
      ctx.moveTo(x, bbox.top + bbox.height);
      ctx.lineTo(x + bbox.height, bbox.top);
    }
    ctx.strokeStyle = ink.hatch;
    ctx.lineWidth = uPlot.pxRatio;
    ctx.stroke();
    drawGapLabel(plot, ink, box);
    ctx.restore();
  }
}

function drawGapLabel({ ctx, bbox }: uPlot, ink: Ink, box: Box): void {
  ctx.font = `${11 * uPlot.pxRatio}px Roboto, system-ui, sans-serif`;
  const label = 'no records';
  const { width } = ctx.measureText(label);
  const margin = 8 * uPlot.pxRatio;
  if (box.width < width + 3 * margin) return;
  const height = 18 * uPlot.pxRatio;
  const x = box.left + box.width / 2;
  const y = bbox.top + bbox.height / 2;
  ctx.fillStyle = ink.panel;
  ctx.fillRect(x - width / 2 - margin, y - height / 2, width + 2 * margin, height);
  ctx.fillStyle = ink.text;
  ctx.textAlign = 'center';
  ctx.textBaseline = 'middle';
  ctx.fillText(label, x, y);
}

function drawBands(plot: uPlot, ink: Ink, { markers, selected }: Latest): void {
  for (const band of bandsOf(markers)) drawBand(plot, ink, band, 0.14);
  const chosen = markers.find((marker) => marker.id === selected);
  if (!chosen) return;
  drawBand(plot, ink, chosen, 0.3);
  const box = boxOf(plot, chosen.from, chosen.to, 3 * uPlot.pxRatio);
  if (!box) return;
  const { ctx, bbox } = plot;
  ctx.fillRect(box.left, bbox.top, uPlot.pxRatio, bbox.height);
  ctx.fillRect(box.left + box.width - uPlot.pxRatio, bbox.top, uPlot.pxRatio, bbox.height);
}

/** Leaves the ink of the severity in the pen. */
function drawBand(plot: uPlot, ink: Ink, { severity, from, to }: Band, alpha: number): void {
  const { ctx, bbox } = plot;
  const box = boxOf(plot, from, to, 3 * uPlot.pxRatio);
  if (!box) return;
  ctx.fillStyle = ink.severity.get(severity) ?? ink.text;
  ctx.globalAlpha = alpha;
  ctx.fillRect(box.left, bbox.top, box.width, bbox.height);
  ctx.globalAlpha = 1;
}

/** The barograph's pen rests on the last settled value. */
function drawPen(plot: uPlot, ink: Ink, { prepared }: Latest): void {
  const { last, x, records } = prepared;
  if (last === null) return;
  const value = records[last];
  const time = x[last];
  if (value == null || time === undefined) return;
  const { ctx } = plot;
  const left = plot.valToPos(time, 'x', true);
  const top = plot.valToPos(value, 'y', true);
  ctx.save();
  ctx.fillStyle = ink.trace;
  ctx.globalAlpha = 0.22;
  ctx.beginPath();
  ctx.arc(left, top, 7 * uPlot.pxRatio, 0, 2 * Math.PI);
  ctx.fill();
  ctx.globalAlpha = 1;
  ctx.beginPath();
  ctx.arc(left, top, 3 * uPlot.pxRatio, 0, 2 * Math.PI);
  ctx.fill();
  ctx.restore();
}

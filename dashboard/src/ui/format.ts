// Numbers, times and names for people. Pure: the present is passed in.

const COUNT = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const ONE_PLACE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });
const THREE_DIGITS = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });
const COMPACT = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 });

/** Every digit: `1,234,567`. */
export const formatCount = (value: number): string => COUNT.format(value);

/** What fits: `9,876`, then `12.3K`, `4.6M`. */
export const formatCompact = (value: number): string =>
  Math.abs(value) < 10_000 ? COUNT.format(value) : COMPACT.format(value);

/** A measured value: `0.042`, `4.1`, `180`, `12.3K`. */
export function formatValue(value: number): string {
  const size = Math.abs(value);
  if (size >= 10_000) return COMPACT.format(value);
  if (size >= 100) return COUNT.format(value);
  if (size >= 1) return ONE_PLACE.format(value);
  return THREE_DIGITS.format(value);
}

export const formatShare = (share: number): string =>
  `${COUNT.format(Math.min(1, Math.max(0, share)) * 100)} %`;

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `850 ms`, `4.2 s`, `42 s`, `3 min`, `3 min 20 s`, `2 h 5 min`, `4 d 2 h`. */
export function formatDuration(milliseconds: number): string {
  const ms = Math.max(0, milliseconds);
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < 10 * SECOND) return `${ONE_PLACE.format(ms / SECOND)} s`;
  const two = (big: number, bigUnit: string, small: number, smallUnit: string): string => {
    const whole = Math.floor(ms / big);
    const rest = Math.floor((ms % big) / small);
    return rest > 0 ? `${whole} ${bigUnit} ${rest} ${smallUnit}` : `${whole} ${bigUnit}`;
  };
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return two(MINUTE, 'min', SECOND, 's');
  if (ms < DAY) return two(HOUR, 'h', MINUTE, 'min');
  return two(DAY, 'd', HOUR, 'h');
}

/** `just now`, `42 s ago`, `3 min ago`, `2 h ago`, `4 d ago`. Event times may lie ahead. */
export function formatAgo(then: number, now: number): string {
  const age = now - then;
  if (age < -5 * SECOND) return `in ${largestUnit(-age)}`;
  if (age < 5 * SECOND) return 'just now';
  return `${largestUnit(age)} ago`;
}

function largestUnit(ms: number): string {
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h`;
  return `${Math.floor(ms / DAY)} d`;
}

const pad = (value: number, length = 2): string => String(value).padStart(length, '0');

/** Local time of day: `07:00:12`. */
export function formatClock(time: number): string {
  const at = new Date(time);
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

/** `07:00:12.345`: log lines are told apart by their milliseconds. */
export const formatClockMs = (time: number): string =>
  `${formatClock(time)}.${pad(new Date(time).getMilliseconds(), 3)}`;

/** Local date and time with the offset said: `2026-11-21 07:00:12 +01:00`. */
export function formatAbsolute(time: number): string {
  const at = new Date(time);
  const offset = -at.getTimezoneOffset();
  const zone =
    offset === 0
      ? 'UTC'
      : `${offset < 0 ? '−' : '+'}${pad(Math.floor(Math.abs(offset) / 60))}:${pad(Math.abs(offset) % 60)}`;
  const date = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  return `${date} ${formatClock(time)} ${zone}`;
}

/** `error_burst` → `Error burst`. Works for kinds that do not exist yet. */
export function humanise(name: string): string {
  const words = name.replaceAll(/[_\-.\s]+/g, ' ').trim();
  return words === '' ? 'Unknown' : words.charAt(0).toUpperCase() + words.slice(1);
}

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${formatCount(count)} ${count === 1 ? one : many}`;

/** The trace id of a W3C `traceparent`, or null when it is none. */
export function traceIdOf(traceparent: string | null): string | null {
  const found = /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}/.exec(traceparent ?? '');
  return found?.[1] ?? null;
}

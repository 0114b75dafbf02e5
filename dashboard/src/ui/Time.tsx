import { formatAbsolute, formatAgo } from './format';

/** Relative for reading, absolute on hover and for machines. */
export const Ago = ({ at, now }: { at: string; now: number }) => (
  <time dateTime={at} title={formatAbsolute(Date.parse(at))}>
    {formatAgo(Date.parse(at), now)}
  </time>
);

export const Absolute = ({ at }: { at: string }) => (
  <time dateTime={at} title={at}>
    {formatAbsolute(Date.parse(at))}
  </time>
);

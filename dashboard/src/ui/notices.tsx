import type { ReactNode } from 'react';

import { formatAgo } from './format';
import { WarnIcon } from './icons';

export const Loading = ({ what, rows = 3 }: { what: string; rows?: number }) => (
  <div className="skeleton" role="status">
    <span className="visually-hidden">Loading {what}</span>
    {Array.from({ length: rows }, (_, at) => (
      <span key={at} className="skeleton-row" aria-hidden="true" />
    ))}
  </div>
);

interface ErrorProps {
  title: string;
  message: string;
  onRetry: () => void;
}

export const ErrorNotice = ({ title, message, onRetry }: ErrorProps) => (
  <div className="notice" data-tone="error" role="alert">
    <WarnIcon />
    <div>
      <strong>{title}</strong>
      <p>{message}</p>
    </div>
    <button type="button" className="button" onClick={onRetry}>
      Try again
    </button>
  </div>
);

interface StaleProps {
  /** When what is shown was true. */
  at: number;
  now: number;
  message: string;
}

/** What is shown was true a while ago. */
export const StaleNotice = ({ at, now, message }: StaleProps) => (
  <p className="stale" role="status">
    <WarnIcon />
    <span>
      <strong>Stale.</strong> As of {formatAgo(at, now)}. {message}
    </span>
  </p>
);

export const Empty = ({ title, children }: { title: string; children?: ReactNode }) => (
  <div className="empty">
    <h3>{title}</h3>
    {children}
  </div>
);

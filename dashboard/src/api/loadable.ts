// The four states of anything that is fetched. `empty` is the view's to judge, from `data`.

export type Loadable<T> =
  | { phase: 'loading' }
  | { phase: 'error'; message: string }
  | { phase: 'ready'; data: T; at: number }
  /** What was there before, while fetching anew fails. */
  | { phase: 'stale'; data: T; at: number; message: string };

export const LOADING = { phase: 'loading' } as const;

export const loaded = <T>(data: T, at: number): Loadable<T> => ({ phase: 'ready', data, at });

export function failed<T>(before: Loadable<T>, message: string): Loadable<T> {
  switch (before.phase) {
    case 'loading':
    case 'error':
      return { phase: 'error', message };
    case 'ready':
    case 'stale':
      return { phase: 'stale', data: before.data, at: before.at, message };
  }
}

export const dataOf = <T>(loadable: Loadable<T>): T | null =>
  loadable.phase === 'ready' || loadable.phase === 'stale' ? loadable.data : null;

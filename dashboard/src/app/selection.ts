import { useCallback, useSyncExternalStore } from 'react';

const PREFIX = '#anomaly=';

function read(): string | null {
  const { hash } = window.location;
  const id = hash.slice(PREFIX.length);
  return hash.startsWith(PREFIX) && /^[\w-]+$/.test(id) ? id : null;
}

function subscribe(changed: () => void): () => void {
  window.addEventListener('hashchange', changed);
  return () => {
    window.removeEventListener('hashchange', changed);
  };
}

/** The open anomaly lives in the address: it can be shared, and survives a reload. */
export function useSelection(): [string | null, (id: string | null) => void] {
  const selected = useSyncExternalStore(subscribe, read);
  const select = useCallback((id: string | null) => {
    const { pathname, search } = window.location;
    const address = `${pathname}${search}${id === null ? '' : PREFIX + id}`;
    // Reading through the list is one step of the history, not fifty.
    const isFurther = id !== null && read() === null;
    if (isFurther) window.history.pushState(null, '', address);
    else window.history.replaceState(null, '', address);
    window.dispatchEvent(new HashChangeEvent('hashchange'));
  }, []);
  return [selected, select];
}

// The REST side of the gateway. Paths are relative to the page, so that a prefix does no harm.

import { decodeAnomaliesPage, decodeSummary, decodeVolume, type DecodedPage } from './decode';
import type { Summary, Volume } from './types';

export interface Answer<T> {
  body: T;
  /** The server's clock less ours, in milliseconds, when it is further off than rounding explains. */
  clockOffset: number;
}

/** The `Date` header counts whole seconds, so that smaller offsets mean nothing. */
const SMALLEST_OFFSET = 2_000;
const TIMEOUT = 10_000;

/** Says what went wrong in a sentence for the reader. */
export class ApiFailure extends Error {
  override readonly name = 'ApiFailure';
}

export const apiUrl = (path: string): URL => new URL(path, document.baseURI);

export function streamUrl(): string {
  const url = apiUrl('ws/anomalies');
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

async function get<T>(
  path: string,
  decode: (value: unknown) => T,
  signal?: AbortSignal,
): Promise<Answer<T>> {
  const timeout = AbortSignal.timeout(TIMEOUT);
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(apiUrl(path), {
      headers: { accept: 'application/json' },
      cache: 'no-store',
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    body = await response.json().catch(() => undefined);
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new ApiFailure(
      timeout.aborted
        ? `The gateway did not answer within ${TIMEOUT / 1_000} s.`
        : 'The gateway cannot be reached.',
      { cause },
    );
  }
  if (!response.ok) throw new ApiFailure(refusal(response.status, body));
  try {
    return { body: decode(body), clockOffset: clockOffset(response) };
  } catch (cause) {
    throw new ApiFailure('The gateway sent an answer that this page cannot read.', { cause });
  }
}

function refusal(status: number, body: unknown): string {
  if (typeof body === 'object' && body !== null && 'message' in body) {
    if (typeof body.message === 'string') return `${body.message} (${status})`;
  }
  return `The gateway answered with status ${status}.`;
}

function clockOffset(response: Response): number {
  const date = Date.parse(response.headers.get('date') ?? '');
  const offset = date - Date.now();
  return Math.abs(offset) > SMALLEST_OFFSET ? offset : 0;
}

export const fetchAnomalies = (signal?: AbortSignal): Promise<Answer<DecodedPage>> =>
  get('api/v1/anomalies?limit=200', decodeAnomaliesPage, signal);

export const fetchSummary = (signal?: AbortSignal): Promise<Answer<Summary>> =>
  get('api/v1/summary', decodeSummary, signal);

export function fetchVolume(
  minutes: number,
  service: string,
  signal?: AbortSignal,
): Promise<Answer<Volume>> {
  const query = new URLSearchParams({ minutes: String(minutes), service });
  return get(`api/v1/volume?${query.toString()}`, decodeVolume, signal);
}

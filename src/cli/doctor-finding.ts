/** What `mapwire doctor` found: `fail` keeps Mapwire from working, `warn` from working well. */
export interface Finding {
  readonly what: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly found: string;
  /** What to do about it. */
  readonly remedy?: string;
}

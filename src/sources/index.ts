/** Where tables come from: the interface of a source, the file source, and the set that makes one table of several. */

export { FileSource, type FileSourceOptions, fileSourceName } from './file-source.ts';
export type { MappingSource, Offer, SourceSink, Verdict } from './source.ts';
export { SourceSet, type SourceSetEvent, type SourceSetOptions, type SourceStatus } from './source-set.ts';

/** The reference model of the data plane. Pure: no kernel, no addon, no compiler. */
export { ASSIGNED_PORTS, defaultEnvironment, UNDERLAY_DEVICE } from './default-environment.ts';
export { type Hop, journey } from './journey.ts';
export { type Question, questionFrame } from './question.ts';
export { type SimulationInput, simulate } from './simulate.ts';
export * from './types.ts';
export { World } from './world.ts';

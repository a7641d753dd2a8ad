export { createRouter, type Route, type Endpoint } from './core/route.ts';
export { dialectOf } from './core/route.ts';

export interface Lock extends AsyncDisposable {
  release(): Promise<void>;
}

/**
 * Waits until this process alone holds the lock named by `file`, whose folder must exist.
 * @param onWait called when somebody else holds it
 * @throws Error when it cannot be locked, or there is no flock(1)
 */
export function lockFile(file: string, onWait?: () => void): Promise<Lock>;

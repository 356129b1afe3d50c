/** Where the lab's containers run: under Docker, or as network namespaces where the kernel refuses containers. */
export interface Hosts {
  /** Program and first arguments that run another program inside a container. `input`: with our standard input. */
  enter(container: string, input: boolean): readonly [string, ...string[]];
  /** The function there ends without a goodbye to anybody, as when a host loses power. */
  kill(container: string): Promise<void>;
  /** Starts a function that was killed, with its address; resolves when it is healthy again. */
  start(container: string): Promise<void>;
  close(): Promise<void>;
}

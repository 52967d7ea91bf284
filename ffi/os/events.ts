/**
 * Events of a selector; each poller translates them into the flags of its system call.
 *
 * @module
 */

/** The file object can be read without blocking: data, a connection to accept, end of file, or an error. */
export const EVENT_READ = 1;
/** The file object can be written without blocking: room, a completed connection, or an error. */
export const EVENT_WRITE = 2;

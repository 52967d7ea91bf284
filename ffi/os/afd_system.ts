/**
 * Windows functions, structs and memory for the AFD poller: ntdll, kernel32, and WSAIoctl().
 *
 * Functions whose names begin with Nt return an NTSTATUS, so their errors need no GetLastError().
 *
 * @module
 */

import { openWithErrno, result } from "./call.ts";
import { EBADF, EINVAL, ENOBUFS, ENOTSOCK, EOPNOTSUPP } from "./errno.ts";
import { lazy, openLibrary } from "./library.ts";

// A HANDLE is as wide as a pointer, but Windows uses only its low 32 bits: it is a usize as an argument, and an i32 as
// a result.

/** Functions of ntdll. */
export const ntdll = lazy(() =>
  openLibrary("ntdll", {
    // NTSTATUS NtCreateFile(PHANDLE FileHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
    //   PIO_STATUS_BLOCK IoStatusBlock, PLARGE_INTEGER AllocationSize, ULONG FileAttributes, ULONG ShareAccess,
    //   ULONG CreateDisposition, ULONG CreateOptions, PVOID EaBuffer, ULONG EaLength)
    NtCreateFile: {
      parameters: ["usize", "u32", "usize", "usize", "usize", "u32", "u32", "u32", "u32", "usize", "u32"],
      result: "i32",
    },
    // NTSTATUS NtDeviceIoControlFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, PVOID ApcContext,
    //   PIO_STATUS_BLOCK IoStatusBlock, ULONG IoControlCode, PVOID InputBuffer, ULONG InputBufferLength,
    //   PVOID OutputBuffer, ULONG OutputBufferLength)
    NtDeviceIoControlFile: {
      parameters: ["usize", "usize", "usize", "usize", "usize", "u32", "usize", "u32", "usize", "u32"],
      result: "i32",
    },
    // NTSTATUS NtCancelIoFileEx(HANDLE FileHandle, PIO_STATUS_BLOCK IoRequestToCancel, PIO_STATUS_BLOCK IoStatusBlock)
    NtCancelIoFileEx: { parameters: ["usize", "usize", "usize"], result: "i32" },
    // NTSTATUS NtRemoveIoCompletionEx(HANDLE IoCompletionHandle,
    //   PFILE_IO_COMPLETION_INFORMATION IoCompletionInformation, ULONG Count, PULONG NumEntriesRemoved,
    //   PLARGE_INTEGER Timeout, BOOLEAN Alertable)
    NtRemoveIoCompletionEx: { parameters: ["usize", "usize", "u32", "usize", "usize", "u8"], result: "i32" },
  })
);

/** Functions of kernel32. */
export const kernel32 = lazy(() =>
  openLibrary("handles", {
    // HANDLE CreateIoCompletionPort(HANDLE FileHandle, HANDLE ExistingCompletionPort, ULONG_PTR CompletionKey,
    //   DWORD NumberOfConcurrentThreads)
    CreateIoCompletionPort: { parameters: ["usize", "usize", "usize", "u32"], result: "i32" },
    // BOOL SetFileCompletionNotificationModes(HANDLE FileHandle, UCHAR Flags)
    SetFileCompletionNotificationModes: { parameters: ["usize", "u8"], result: "i32" },
    // BOOL CloseHandle(HANDLE hObject)
    CloseHandle: { parameters: ["usize"], result: "i32" },
    // BOOL DuplicateHandle(HANDLE hSourceProcessHandle, HANDLE hSourceHandle, HANDLE hTargetProcessHandle,
    //   LPHANDLE lpTargetHandle, DWORD dwDesiredAccess, BOOL bInheritHandle, DWORD dwOptions)
    DuplicateHandle: { parameters: ["usize", "usize", "usize", "buffer", "u32", "i32", "u32"], result: "i32" },
    // DWORD WaitForSingleObject(HANDLE hHandle, DWORD dwMilliseconds)
    WaitForSingleObject: { parameters: ["usize", "i32"], result: "i32" },
    // LPVOID VirtualAlloc(LPVOID lpAddress, SIZE_T dwSize, DWORD flAllocationType, DWORD flProtect)
    VirtualAlloc: { parameters: ["usize", "usize", "u32", "u32"], result: "pointer" },
    // BOOL VirtualFree(LPVOID lpAddress, SIZE_T dwSize, DWORD dwFreeType)
    VirtualFree: { parameters: ["pointer", "usize", "u32"], result: "i32" },
  })
);

/** Functions of kernel32 that run on a thread of Deno's pool. */
const kernel32Aside = lazy(() =>
  openLibrary("handles", {
    // DWORD WaitForMultipleObjects(DWORD nCount, const HANDLE *lpHandles, BOOL bWaitAll, DWORD dwMilliseconds)
    WaitForMultipleObjects: { parameters: ["u32", "buffer", "i32", "i32"], result: "i32", nonblocking: true },
  })
);

const winsock = lazy(() =>
  openWithErrno("winsock", {
    // int WSAIoctl(SOCKET s, DWORD dwIoControlCode, LPVOID lpvInBuffer, DWORD cbInBuffer, LPVOID lpvOutBuffer,
    //   DWORD cbOutBuffer, LPDWORD lpcbBytesReturned, LPWSAOVERLAPPED lpOverlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE)
    WSAIoctl: {
      parameters: ["usize", "u32", "usize", "u32", "buffer", "u32", "buffer", "usize", "usize"],
      result: "i32",
    },
    // int WSAGetLastError(void)
    WSAGetLastError: { parameters: [], result: "i32" },
  })
);

// Status codes, as the i32 that a call returns.
export const STATUS_SUCCESS = 0;
export const STATUS_INVALID_HANDLE: number = 0xc000_0008 | 0;
export const STATUS_NO_MEMORY: number = 0xc000_0017 | 0;
export const STATUS_OBJECT_TYPE_MISMATCH: number = 0xc000_0024 | 0;
export const STATUS_QUOTA_EXCEEDED: number = 0xc000_0044 | 0;
export const STATUS_INSUFFICIENT_RESOURCES: number = 0xc000_009a | 0;
export const STATUS_CANCELLED: number = 0xc000_0120 | 0;

/** Returns true for a status of severity "error". A request that returns one sends no packet. */
export function isError(status: number): boolean {
  return status >>> 30 === 3;
}

/** Returns `-errno` for a status of severity "error". */
export function failureOf(status: number): number {
  switch (status) {
    case STATUS_NO_MEMORY:
    case STATUS_QUOTA_EXCEEDED:
    case STATUS_INSUFFICIENT_RESOURCES:
      return -ENOBUFS;
    case STATUS_INVALID_HANDLE:
    case STATUS_OBJECT_TYPE_MISMATCH:
      return -EBADF;
    default:
      return -EINVAL;
  }
}

/**
 * typedef struct _IO_STATUS_BLOCK {   64-bit
 *   union { NTSTATUS Status; PVOID Pointer; };   // +0
 *   ULONG_PTR Information;                       // +8
 * } IO_STATUS_BLOCK;                             // 16
 */
export const IO_STATUS_BLOCK = { size: 16, Status: 0, Information: 8 } as const;

/**
 * typedef struct _AFD_POLL_INFO {     64-bit, with one handle
 *   LARGE_INTEGER Timeout;            // +0
 *   ULONG NumberOfHandles;            // +8
 *   ULONG Exclusive;                  // +12
 *   struct { HANDLE Handle;           // +16
 *            ULONG Events;            // +24
 *            NTSTATUS Status;         // +28
 *   } Handles[1];
 * } AFD_POLL_INFO;                    // 32
 */
export const AFD_POLL_INFO = {
  size: 32,
  Timeout: 0,
  NumberOfHandles: 8,
  Exclusive: 12,
  Handle: 16,
  Events: 24,
  Status: 28,
} as const;

/**
 * typedef struct _FILE_IO_COMPLETION_INFORMATION {   64-bit
 *   PVOID KeyContext;                // +0
 *   PVOID ApcContext;                // +8
 *   IO_STATUS_BLOCK IoStatusBlock;   // +16
 * } FILE_IO_COMPLETION_INFORMATION;  // 32
 */
export const FILE_IO_COMPLETION_INFORMATION = { size: 32, KeyContext: 0, ApcContext: 8, IoStatusBlock: 16 } as const;

/**
 * typedef struct _UNICODE_STRING {   64-bit
 *   USHORT Length, MaximumLength;    // +0, +2, in bytes
 *   PWSTR  Buffer;                   // +8
 * } UNICODE_STRING;                  // 16
 *
 * typedef struct _OBJECT_ATTRIBUTES {
 *   ULONG Length;                    // +0
 *   HANDLE RootDirectory;            // +8
 *   PUNICODE_STRING ObjectName;      // +16
 *   ULONG Attributes;                // +24
 *   PVOID SecurityDescriptor;        // +32
 *   PVOID SecurityQualityOfService;  // +40
 * } OBJECT_ATTRIBUTES;               // 48
 */
export const UNICODE_STRING = { size: 16, Length: 0, MaximumLength: 2, Buffer: 8 } as const;
export const OBJECT_ATTRIBUTES = { size: 48, Length: 0, ObjectName: 16 } as const;

const MEM_COMMIT_AND_RESERVE = 0x3000;
const MEM_RELEASE = 0x8000;
const PAGE_READWRITE = 4;

/**
 * Zeroed memory that no garbage collection frees. The kernel writes to it when a request completes, even after the
 * Worker of the request was terminated: a terminated Worker cannot cancel its requests, and its memory stays allocated
 * until the process ends.
 */
export class Memory {
  readonly #pointer: Deno.PointerObject;
  readonly words: Int32Array<ArrayBuffer>;
  readonly address: bigint;

  /**
   * Allocates `size` bytes.
   *
   * @throws {RangeError} if the system is out of memory
   */
  constructor(size: number) {
    const pointer = kernel32().VirtualAlloc(0n, BigInt(size), MEM_COMMIT_AND_RESERVE, PAGE_READWRITE);
    if (pointer === null) throw new RangeError(`Cannot allocate ${size} bytes: the system is out of memory`);
    this.#pointer = pointer;
    this.words = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(pointer, size));
    this.address = BigInt(Deno.UnsafePointer.value(pointer));
  }

  /** Frees the memory. Call it only if no request uses the memory. */
  free(): void {
    kernel32().VirtualFree(this.#pointer, 0n, MEM_RELEASE);
  }
}

const INVALID_HANDLE_VALUE = 0xffff_ffff_ffff_ffffn;

/** Creates a completion port; returns its handle, or 0. */
export function createPort(): number {
  return kernel32().CreateIoCompletionPort(INVALID_HANDLE_VALUE, 0n, 0n, 0);
}

/** Closes a handle that is not a socket. */
export function closeHandle(handle: number): void {
  kernel32().CloseHandle(BigInt(handle));
}

/** Path of the device. AFD opens a handle without a socket for any name after `\Device\Afd\`. */
const AFD_NAME = "\\Device\\Afd\\Selectors";
const SYNCHRONIZE = 0x0010_0000;
const FILE_SHARE_READ_AND_WRITE = 3;
const FILE_OPEN = 1;
const FILE_SKIP_SET_EVENT_ON_HANDLE = 2;

/**
 * Opens the AFD device, whose completions go to a port. Overwrites the memory, which holds the arguments of the call.
 *
 * @returns The handle or `-errno`
 */
export function openDevice(port: number, { words, address }: Memory): number {
  const name = OBJECT_ATTRIBUTES.size;
  const text = name + UNICODE_STRING.size;
  const status = text + 2 * AFD_NAME.length + 8 & ~7;
  const handle = status + IO_STATUS_BLOCK.size;
  const view = new DataView(words.buffer);
  new Uint8Array(words.buffer, 0, handle + 8).fill(0);
  view.setUint32(OBJECT_ATTRIBUTES.Length, OBJECT_ATTRIBUTES.size, true);
  view.setBigUint64(OBJECT_ATTRIBUTES.ObjectName, address + BigInt(name), true);
  view.setUint16(name + UNICODE_STRING.Length, 2 * AFD_NAME.length, true);
  view.setUint16(name + UNICODE_STRING.MaximumLength, 2 * AFD_NAME.length, true);
  view.setBigUint64(name + UNICODE_STRING.Buffer, address + BigInt(text), true);
  for (let index = 0; index < AFD_NAME.length; index++) {
    view.setUint16(text + 2 * index, AFD_NAME.charCodeAt(index), true);
  }
  const outcome = ntdll().NtCreateFile(
    address + BigInt(handle),
    SYNCHRONIZE,
    address,
    address + BigInt(status),
    0n,
    0,
    FILE_SHARE_READ_AND_WRITE,
    FILE_OPEN,
    0,
    0n,
    0,
  );
  if (isError(outcome)) return failureOf(outcome);
  const device = view.getInt32(handle, true);
  const { CreateIoCompletionPort, SetFileCompletionNotificationModes } = kernel32();
  const isReady = CreateIoCompletionPort(BigInt(device), BigInt(port), 0n, 0) !== 0 &&
    SetFileCompletionNotificationModes(BigInt(device), FILE_SKIP_SET_EVENT_ON_HANDLE) !== 0;
  if (isReady) return device;
  closeHandle(device);
  return -ENOBUFS;
}

/** Request of WSAIoctl(): the socket of the base provider. */
export const SIO_BASE_HANDLE = 0x4800_0022;
/** Request of WSAIoctl(): the socket of the next layer, which WSAPoll() would use. */
export const SIO_BSP_HANDLE_POLL = 0x4800_001d;

// Results of calls.
const found = new Int32Array(2);
const returned = new Uint32Array(1);

/**
 * Returns the socket of the base provider, which is the only one that AFD knows, or `-errno`.
 *
 * A layered provider must not intercept SIO_BASE_HANDLE, but some do. For those, SIO_BSP_HANDLE_POLL goes down one
 * layer at a time.
 */
export function baseHandleOf(fd: number, ask: typeof askForHandle = askForHandle): number {
  for (let socket = fd;;) {
    const base = ask(socket, SIO_BASE_HANDLE);
    if (base >= 0) return base;
    if (base === -ENOTSOCK) return -EBADF;
    const next = ask(socket, SIO_BSP_HANDLE_POLL);
    if (next < 0 || next === socket) return -EOPNOTSUPP;
    socket = next;
  }
}

/** Returns the handle that WSAIoctl() returns for a request, or `-errno`. */
function askForHandle(socket: number, request: number): number {
  const { WSAIoctl, WSAGetLastError } = winsock();
  const failure = result(WSAIoctl(BigInt(socket), request, 0n, 0, found, 8, returned, 0n, 0n), WSAGetLastError());
  return failure < 0 ? failure : found[0]!;
}

/** Pseudo-handle of this process. */
const CURRENT_PROCESS = INVALID_HANDLE_VALUE;
const DUPLICATE_SAME_ACCESS = 2;

/** Returns another handle of the same object, or 0. */
export function duplicateHandle(handle: number): number {
  const { DuplicateHandle } = kernel32();
  const copied = DuplicateHandle(CURRENT_PROCESS, BigInt(handle), CURRENT_PROCESS, found, 0, 0, DUPLICATE_SAME_ACCESS);
  return copied === 0 ? 0 : found[0]!;
}

/** Returns true if an object is signaled, as a completion port is while it has a packet. */
export function isSignaled(handle: number): boolean {
  return kernel32().WaitForSingleObject(BigInt(handle), 0) === 0;
}

/** Maximum number of handles that one call can wait for. */
export const MAXIMUM_WAIT_OBJECTS = 64;

/**
 * Waits on a thread of Deno's pool until one of the handles is signaled; returns -1 for a failure.
 *
 * @param handles At most {@linkcode MAXIMUM_WAIT_OBJECTS}; the caller keeps the array until the call returns
 * @param timeoutMs Whole milliseconds, or -1 to wait forever
 */
export function waitAside(handles: BigInt64Array<ArrayBuffer>, timeoutMs: number): Promise<number> {
  return kernel32Aside().WaitForMultipleObjects(handles.length, handles, 0, timeoutMs);
}

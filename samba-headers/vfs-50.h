// SPDX-License-Identifier: GPL-3.0-or-later
// Samba 4.22. README.md in this folder says how these numbers are found.

#define VFS_INTERFACE 50
#define SAMBA_MINOR_FIRST 22
#define SAMBA_MINOR_LAST 22

#define SIZE_SMB_REQUEST 184
#define SMB_REQUEST_MID 8
#define SMB_REQUEST_XCONN 112
#define SMB_REQUEST_SMB2REQ 144

#define SIZE_SMB_FILENAME 200
#define SMB_FILENAME_BASE_NAME 0
#define SMB_FILENAME_STREAM_NAME 8
#define SMB_FILENAME_ST 24
#define SMB_FILENAME_TWRP 176

#define SIZE_STAT_EX 152
#define STAT_EX_ST_EX_DEV 0
#define STAT_EX_ST_EX_INO 8
#define STAT_EX_ST_EX_SIZE 48
#define STAT_EX_ST_EX_MTIME 72
#define STAT_EX_ST_EX_CTIME 88

#define SIZE_FILES_STRUCT 336
#define FILES_STRUCT_FSP_NAME 200

#define SIZE_CONNECTION_STRUCT 240
#define CONNECTION_STRUCT_CONNECTPATH 88

#define SIZE_VFS_HANDLE_STRUCT 56
#define VFS_HANDLE_STRUCT_NEXT 0
#define VFS_HANDLE_STRUCT_CONN 24
#define VFS_HANDLE_STRUCT_DATA 40
#define VFS_HANDLE_STRUCT_FREE_DATA 48

#define SIZE_VFS_FN_POINTERS 784
#define SLOT_CONNECT 0
#define SLOT_DISCONNECT 1
#define SLOT_OPENAT 16
#define SLOT_CREATE_FILE 17
#define SLOT_CLOSE 18

// Whether the function takes a directory between the request and the name,
// and whether openat takes its flags in a vfs_open_how.
#define CREATE_FILE_TAKES_DIRFSP 1
#define OPENAT_TAKES_HOW 1

#include "shape.h"
